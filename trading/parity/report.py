"""The result of an audit: what live and back-test earned on a day, and the parts of the difference."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from trading.market import Pair
from trading.portfolio.exact import exactly

TOLERANCE = Decimal("1e-9")  # of the equity: what remains unexplained may be no more than floats round off
SHOWN = Decimal("0.005")  # a part of less is not in the headline


class Kind(StrEnum):
    """Why live differs from its back-test, as a person reads it. The order of the steps is that of `attribute`."""

    MISSED = "missed"  # a candle that nobody decided on, or an order that was not filled
    RESTATED = "restated data"  # the candles were others when it was decided
    SIGNAL = (
        "signal"  # the same data led to another vote of the rules or the policy: settings, policy or code
    )
    LLM = "LLM"  # the vote of an agent that reads text: a back-test asks none
    RISK = "risk"  # refused, sized or closed by the rules of the whole account, or by a person
    LATE = "late"  # filled in a later candle than the next one, or nothing ordered while a fill was not known yet
    PERSON = "person"  # an order that a person has approved, and what decisions made of its position
    GUARD = "guard"  # a stop or target that closed at another time than the candles say
    FILL_PRICE = "fill price"
    FEE = "fee"
    UNEXPLAINED = "unexplained"  # nothing recorded stands for it


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that was otherwise, in words for a person; `amount` None: it is a part of its kind's sum."""

    kind: Kind
    at: datetime
    words: str
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PairParity:
    """One pair's day, in the account's quote as the day ends. `parts` add up to `live` - `backtest` exactly.

    What was held when the day began, and moved by itself, is in neither.
    """

    pair: Pair
    backtest: Decimal
    live: Decimal
    parts: Mapping[Kind, Decimal]
    causes: tuple[Cause, ...]
    candles: int  # of the day that could be decided on
    decisions: int  # of them that were

    @property
    def difference(self) -> Decimal:
        with exactly():
            return self.live - self.backtest


@dataclass(frozen=True, slots=True)
class ParityReport:
    """The day of one account. Amounts are in its quote, at the prices with which the day ended.

    Equity moved by `holding` (what the balances of the morning gained by themselves), `transfers` (paid in, less taken
    out, rewards, foreign trades), `conversions` (rebalancing) and what decisions earned (`live`).
    """

    day: date
    account: str
    quote: str
    opening_equity: Decimal  # the balances of the morning at the prices of the morning
    closing_equity: Decimal
    holding: Decimal
    transfers: Decimal
    conversions: Decimal
    pairs: Sequence[PairParity]
    notes: tuple[str, ...] = ()

    @property
    def live(self) -> Decimal:
        """Return what decisions earned: what equity moved by, without holding, transfers and conversions."""
        with exactly():
            moved = self.closing_equity - self.opening_equity
            return moved - self.holding - self.transfers - self.conversions

    @property
    def backtest(self) -> Decimal:
        return _sum(each.backtest for each in self.pairs)

    @property
    def difference(self) -> Decimal:
        with exactly():
            return self.live - self.backtest

    @property
    def parts(self) -> dict[Kind, Decimal]:
        """Return every kind's part; what the balances have and no fill of a pair brought is unexplained."""
        parts = {kind: _sum(each.parts.get(kind, Decimal(0)) for each in self.pairs) for kind in Kind}
        with exactly():
            parts[Kind.UNEXPLAINED] += self._of_no_fill
        return parts

    @property
    def _of_no_fill(self) -> Decimal:
        """Return what the balances have and no fill of a pair brought."""
        with exactly():
            return self.live - _sum(each.live for each in self.pairs)

    @property
    def unexplained(self) -> Decimal:
        return self.parts[Kind.UNEXPLAINED]

    @property
    def is_explained(self) -> bool:
        """Return whether nothing is left but what floats round off, of any pair and of the balances."""
        return self.left_over <= TOLERANCE * max(abs(self.closing_equity), Decimal(1))

    @property
    def left_over(self) -> Decimal:
        """Return how much is unexplained, pair by pair and of the balances: here a gain cancels no loss."""
        of_pairs = _sum(abs(each.parts.get(Kind.UNEXPLAINED, Decimal(0))) for each in self.pairs)
        with exactly():
            return of_pairs + abs(self._of_no_fill)

    @property
    def causes(self) -> list[tuple[Pair, Cause]]:
        """List every cause with its pair, by time; what is said of several candles alike is said once."""
        said: dict[tuple[Pair, Kind, str], list[Cause]] = {}
        for each in self.pairs:
            for cause in each.causes:
                said.setdefault((each.pair, cause.kind, cause.words), []).append(cause)
        found = [(pair, _joined(causes)) for (pair, _, _), causes in said.items()]
        return sorted(found, key=lambda one: one[1].at)

    @property
    def headline(self) -> str:
        """Say in one sentence what the day brought, and why it was not what its back-test brought."""
        parts = sorted(self.parts.items(), key=lambda part: -abs(part[1]))
        why = [f"{kind} {_signed(amount)}" for kind, amount in parts if abs(amount) >= SHOWN]
        left = "" if self.is_explained else "; a part is unexplained"
        return (
            f"{self.account} on {self.day}: live {_signed(self.live)} {self.quote}, back-test {_signed(self.backtest)}"
            f"{': ' if why else ''}{', '.join(why)}{left}"
        )


def _joined(causes: Sequence[Cause]) -> Cause:
    """Join causes that are told alike."""
    first, amounts = causes[0], [each.amount for each in causes if each.amount is not None]
    if len(causes) == 1:
        return first
    return Cause(
        first.kind, first.at, f"{first.words} ({len(causes)} times)", _sum(amounts) if amounts else None
    )


def _signed(amount: Decimal) -> str:
    return f"{float(amount):+.2f}"


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    with exactly():
        return sum(amounts, Decimal(0))
