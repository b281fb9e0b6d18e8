"""The orders that were really filled, by what asked for them, and the positions that they opened and closed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.orders import Fill, OrderIntent, OrderKind
from trading.parity.day import PairDay
from trading.portfolio.exact import exactly


class Origin(StrEnum):
    """What asked for an order."""

    DECISION = "decision"  # of a candle of the day
    EARLIER = "earlier decision"  # of the day before
    PROTECTION = "protection"  # a stop at the venue, or an exit because a stop or target was touched
    FORCED = "forced"  # closed by the kill switch, a person, or because it could not be protected
    PERSON = "person"  # a person has approved it, nobody has voted for it
    UNKNOWN = "unknown"  # nothing that is recorded


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """One order of the day, filled or not."""

    intent: OrderIntent
    fills: tuple[Fill, ...]  # of the day, oldest first
    origin: Origin
    decided: int | None = None  # candle that a DECISION was about
    words: str = ""  # what asked for it, or what became of it

    @property
    def is_entry(self) -> bool:
        return self.intent.kind is OrderKind.ENTRY

    @property
    def filled(self) -> Decimal:
        with exactly():
            return sum((fill.quantity for fill in self.fills), Decimal(0))

    def first_candle(self, day: PairDay) -> int:
        return day.candle_at(self.fills[0].filled_at)

    def __str__(self) -> str:
        return f"{self.intent.side} {self.intent.quantity:f} {self.intent.pair.base}"


@dataclass
class Round:
    """A position as orders made it: what opened it (None: held as the day began), and what closed it."""

    entry: LiveOrder | None
    exits: list[LiveOrder] = field(default_factory=list)

    def is_closed_by(self, order: LiveOrder, day: PairDay) -> bool:
        """Return whether an exit is on the other side than what was opened."""
        if self.entry is not None:
            return order.intent.side is not self.entry.intent.side
        return day.position is not None and order.intent.side.sign * day.position.quantity < 0

    def held_until(self, day: PairDay) -> int:
        """Return the candle of the last exit's last fill; one behind the day where nothing was sold."""
        closing = [day.candle_at(fill.filled_at) for each in self.exits for fill in each.fills]
        return max(closing, default=len(day.bars))

    @property
    def is_persons(self) -> bool:
        """Return whether a person has approved its opening."""
        return self.entry is not None and self.entry.origin is Origin.PERSON

    def is_closed_by_origin(self, origin: Origin) -> bool:
        return any(each.origin is origin for each in self.exits)


def rounds(day: PairDay, orders: Iterable[LiveOrder]) -> list[Round]:
    """Put the filled orders together, by the time of their first fill; an exit belongs to the entry before it."""
    found = [Round(None)] if day.position is not None else []
    for order in sorted((each for each in orders if each.fills), key=lambda each: each.fills[0].filled_at):
        if order.is_entry:
            found.append(Round(order))
        elif found and found[-1].is_closed_by(order, day):
            found[-1].exits.append(order)
    return found


def held_before(day: PairDay, orders: Iterable[LiveOrder], at: datetime) -> Decimal:
    """Return what was held just before `at` by the times of the fills, whenever they became known; base currency."""
    fills = [fill for each in orders for fill in each.fills if fill.filled_at < at]
    with exactly():
        bought = sum((fill.side.sign * fill.quantity for fill in fills), Decimal(0))
        return bought + (day.position.quantity if day.position else 0)


def strangers(day: PairDay, orders: Iterable[LiveOrder]) -> list[LiveOrder]:
    """Return the filled orders that no decision of a candle asked for, and exits of what those never opened."""
    filled = [each for each in orders if each.fills]
    known = [each for each in filled if each.origin is not Origin.UNKNOWN]
    placed = [order for each in rounds(day, known) for order in (each.entry, *each.exits) if order]
    return [each for each in filled if each not in placed]
