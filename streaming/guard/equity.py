"""The account's value on the newest quotes, and the halts that follow from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from streaming.guard.quotes import Quotes
from trading.market import Pair
from trading.portfolio import conversion_path, equity, priced
from trading.ports import AccountView
from trading.risk import Halt, HaltKind, Limits
from trading.risk.halts import EquityLevels, due_halts

NO_OPENING, UNSEEN = "no day's opening", "an asset that is not streamed"
NEAR = 1e-9  # relative: a float is closer to the exact value than that
Leg = tuple[Pair, bool]  # and whether it is read inverted


@dataclass(frozen=True, slots=True)
class DayOpening:
    """The equity with which a UTC day began, as decisions count it."""

    day: date
    equity: Decimal  # moved by what was paid in and out since, as far as `adjustments` knew
    adjustments: int  # number of those that were booked when it was counted
    unseen: tuple[str, ...] = ()  # assets that decisions value, and no pair of the stream does


@dataclass(frozen=True, slots=True)
class Valuation:
    """Balances with the pairs that value each, found once for a reading of the account."""

    amounts: Mapping[str, Decimal]
    legs: tuple[tuple[float, tuple[Leg, ...]], ...]
    pairs: frozenset[Pair]

    @classmethod
    def of(cls, balances: Mapping[str, Decimal], quote: str, pairs: Collection[Pair]) -> "Valuation":
        """Find the paths; an asset that no pair prices is no part of the equity."""
        amounts, _ = priced({name: amount for name, amount in balances.items() if amount}, quote, pairs)
        legs = tuple(
            (float(amount), tuple(_legs(conversion_path(asset, quote, pairs), pairs)))
            for asset, amount in amounts.items()
        )
        return cls(amounts, legs, frozenset(pair for _, path in legs for pair, _ in path))

    def equity(self, quotes: Quotes) -> float:
        """Value everything at the middle of the books, which must be known."""
        total = 0.0
        for amount, path in self.legs:
            for pair, inverted in path:
                mid = quotes[pair].mid
                amount = amount / mid if inverted else amount * mid
            total += amount
        return total


class EquityWatch:
    """Compares the equity with the peak and the day's opening; a halt is found once."""

    def __init__(self, quote: str, pairs: Collection[Pair], limits: Limits, candle: timedelta) -> None:
        self._quote = quote
        self._traded = tuple(pairs)
        self._limits = limits
        self._candle = candle
        self._valuation = Valuation.of({}, quote, pairs)
        self._view: AccountView | None = None
        self.opening: DayOpening | None = None
        self.equity: float | None = None  # at the last look that could see

    @property
    def pairs(self) -> frozenset[Pair]:
        """Return the pairs whose quotes the value needs."""
        return self._valuation.pairs

    def learn(self, view: AccountView) -> None:
        if self._view is None or self._view.balances != view.balances:
            self._valuation = Valuation.of(view.balances, self._quote, self._traded)
        self._view = view

    def why_unknown(self, at: datetime) -> str:
        """Return why no loss can be judged, though every quote is there; empty when it can."""
        if not self.knows_opening(at):
            return NO_OPENING
        return UNSEEN if self.opening is not None and self.opening.unseen else ""

    def knows_opening(self, at: datetime) -> bool:
        """Return whether the day's opening is that of today and of the balances as they are."""
        return (
            self.opening is not None
            and self._view is not None
            and (self.opening.day, self.opening.adjustments) == (at.date(), self._view.adjustments)
        )

    def look(self, quotes: Quotes, at: datetime, found: Collection[Halt] = ()) -> Sequence[Halt]:
        """Return the halts that begin now, `found` ones apart. Every pair of `pairs` must have a quote that counts.

        While `why_unknown` says something there are none: the equity now and then would not be of the same things.
        """
        view, opening = self._view, self.opening
        if view is None:
            return ()
        self.equity = value = self._valuation.equity(quotes)
        if opening is None or self.why_unknown(at):
            return ()
        active = {halt.kind for halt in (*view.halts, *found) if halt.active(at)}
        checks = (
            (HaltKind.DRAWDOWN, view.peak, self._limits.drawdown),
            (HaltKind.DAILY_LOSS, opening.equity, self._limits.daily_loss),
        )
        if not any(
            before is not None
            and kind not in active
            and value <= float(before) * (1 - limit) + NEAR * abs(float(before))
            for kind, before, limit in checks
        ):
            return ()
        return self._exactly(view, opening.equity, quotes, at, found=found)

    def _exactly(
        self, view: AccountView, opening: Decimal, quotes: Quotes, at: datetime, *, found: Collection[Halt]
    ) -> Sequence[Halt]:
        """Let the rule itself decide, in exact numbers. A peak that is not known is the equity: nothing is lost."""
        prices = {pair: Decimal(repr(quotes[pair].mid)) for pair in self.pairs}
        value = equity(self._valuation.amounts, self._quote, prices)
        levels = EquityLevels(value, value if view.peak is None else view.peak, opening)
        return due_halts(levels, (), (*view.halts, *found), self._limits, at, self._candle)


def _legs(path: Sequence[str], pairs: Collection[Pair]) -> list[Leg]:
    return [
        (direct, False) if (direct := Pair(base, counter)) in pairs else (Pair(counter, base), True)
        for base, counter in pairwise(path)
    ]
