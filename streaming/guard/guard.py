"""What follows from the newest ticks: touched levels, stops to move, halts that begin. No clock, store or socket."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from streaming.guard.equity import DayOpening, EquityWatch
from streaming.guard.held import GuardRules, HeldPosition
from streaming.guard.quotes import Quotes
from trading.account_minute import NOT_STREAMED, PriceReading
from trading.market import Pair
from trading.portfolio import Position
from trading.ports import AccountView
from trading.risk import Halt

NO_QUOTE, TOO_WIDE = "no quote yet", "spread"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the journal has to learn, all or nothing."""

    positions: tuple[Position, ...] = ()  # with levels that have moved, or a reason to be closed
    halts: tuple[Halt, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.positions or self.halts)


class Guard:
    """The state of one account. `learn` what the journal has, `look` at the quotes, take the `findings`.

    A touch is a fact: it stays until the position is gone, whatever the price does and whoever cannot be reached.
    """

    def __init__(
        self,
        rules: GuardRules,
        equity: EquityWatch,
        quotes: Quotes,
        increment: Callable[[Pair], Decimal],
        why_blind: Callable[[Pair], str],
    ) -> None:
        """`increment`: the step of a pair's price. `why_blind`: why its book is not to be trusted; empty: it is."""
        self._rules = rules
        self._equity = equity
        self._quotes = quotes
        self._increment = increment
        self._why_blind = why_blind
        self._held: dict[Pair, HeldPosition] = {}
        self._halts: list[Halt] = []
        self.view: AccountView | None = None
        self.blind: dict[Pair, str] = {}  # why, of the pairs that the last look could not see
        self.refusals: Counter[tuple[str, str]] = (
            Counter()
        )  # looks that could not judge: pair (empty: the account), reason

    @property
    def equity(self) -> float | None:
        """Return the account's value at the last look that could see; None before that."""
        return self._equity.equity

    @property
    def held(self) -> Collection[HeldPosition]:
        return self._held.values()

    def learn(self, view: AccountView) -> None:
        """Take a reading of the journal."""
        self.view = view
        self._equity.learn(view)
        held, self._held = self._held, {}
        for position in view.positions:
            pair = position.pair
            resting, leaving = view.has_stop(pair), view.is_leaving(pair)
            known = held.get(pair) or HeldPosition(
                position, position, resting, leaving, increment=self._increment(pair)
            )
            known.learn(position, resting=resting, leaving=leaving)
            self._held[pair] = known
        self._halts = [each for each in self._halts if not _is_begun(each, view.halts)]

    def learn_opening(self, opening: DayOpening) -> None:
        self._equity.opening = opening

    def knows_opening(self, at: datetime) -> bool:
        """Return whether the day's opening equity is known as of now; without it no daily loss is found."""
        return self._equity.knows_opening(at)

    def look(self, at: datetime, now: float) -> None:
        """Compare everything with the quotes since the last look. `at` is the account's time, `now` the machine's."""
        self.blind = {}
        for pair, held in self._held.items():
            if self._sees(pair):
                held.look(self._quotes[pair], self._rules, at, now)
            else:
                held.lose_sight()
        unseen = [pair for pair in self._equity.pairs if not self._sees(pair)]  # every one is counted
        if self.view is not None and not unseen:
            self._halts += self._equity.look(self._quotes, at, self._halts)
            if reason := self._equity.why_unknown(at):
                self.refusals["", reason] += 1
        self._quotes.forget_news()  # of all: what is opened next is compared with nothing from before
        for pair, reason in self.blind.items():
            self.refusals[str(pair), reason] += 1

    def read_prices(self, at: datetime) -> PriceReading:
        """Return the middle of every book that can be seen now, and why the others cannot."""
        unseen = {pair: why for pair in self._quotes.pairs if (why := self._why_unseen(pair))}
        prices = {
            pair: Decimal(repr(self._quotes[pair].mid)) for pair in self._quotes.pairs if pair not in unseen
        }
        return PriceReading(at, prices, unseen)

    def _sees(self, pair: Pair) -> bool:
        if reason := self._why_unseen(pair):
            self.blind[pair] = reason
        return not reason

    def _why_unseen(self, pair: Pair) -> str:
        """Return why the pair has no price to act on; empty when it has."""
        quotes = self._quotes.get(pair)
        if quotes is None:
            return NOT_STREAMED
        if reason := self._why_blind(pair):
            return reason
        if not quotes.known:
            return NO_QUOTE
        return TOO_WIDE if quotes.too_wide else ""

    def findings(self, now: float) -> Findings:
        """Return what the journal does not have and is worth a write; the same again until `stored`."""
        worth = tuple(each.now for each in self._held.values() if each.is_worth_storing(self._rules, now))
        return Findings(worth, tuple(self._halts))

    def stored(self, findings: Findings, now: float) -> None:
        """Note that the journal has them."""
        for position in findings.positions:
            held = self._held.get(position.pair)
            if held is not None and held.now.opened_at == position.opened_at:
                held.stored, held.stored_at = replace(position, quantity=held.stored.quantity), now
        self._halts = [each for each in self._halts if each not in findings.halts]

    @property
    def to_close(self) -> Sequence[Pair]:
        """Return the pairs whose position has a reason to be closed in the journal, and no exit under way."""
        return [pair for pair, each in self._held.items() if each.stored.exit_reason and not each.leaving]


def _is_begun(halt: Halt, known: Sequence[Halt]) -> bool:
    return any(each.kind is halt.kind and each.active(halt.since) for each in known)
