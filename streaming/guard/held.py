"""One open position under watch: what ticks have made of its levels, and what of that the journal has."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from streaming.guard.quotes import PairQuotes
from trading.portfolio import Position, with_protection
from trading.risk.protection import after_ticks


@dataclass(frozen=True, slots=True)
class GuardRules:
    """Seconds are the machine's."""

    stop_overdue: float  # a resting stop that the price has been beyond for longer has not fired
    trail_seconds: (
        float  # between two moves of the same stop: each is a call to the venue, young orders cost more
    )
    # A venue without a clock (paper) moves and fills its stops candle by candle, as a back-test does.
    real_time: bool


@dataclass(slots=True)
class HeldPosition:
    """`now` is ahead of `stored` by what is not worth a write yet, or not written yet."""

    now: Position
    stored: Position
    resting: bool  # its stop is at the venue
    leaving: bool  # an exit is under way
    increment: Decimal  # of the pair's price
    stored_at: float = -math.inf  # by `time.monotonic`
    beyond_since: float | None = None  # since when the price has been at or beyond the stop that rests
    compared: bool = False  # with the price that stands

    @property
    def is_touched(self) -> bool:
        return bool(self.now.exit_reason)

    def learn(self, stored: Position, *, resting: bool, leaving: bool) -> None:
        """Take what the journal has; what ticks have shown of the same plan stays."""
        if _plan(stored) == _plan(self.now):
            self.now = replace(with_protection(stored, self.now), quantity=stored.quantity)
        else:
            self.now = stored
            self.lose_sight()
        self.stored, self.resting, self.leaving = stored, resting, leaving

    def look(self, quotes: PairQuotes, rules: GuardRules, at: datetime, now: float) -> None:
        """Compare the levels with the prices since the last look."""
        if self.is_touched or self.leaving:
            return
        if quotes.is_new or not self.compared:
            self.compared = True
            sign = 1 if self.now.quantity > 0 else -1
            low, high, last = quotes.prices(sign)
            rests = self.resting or not rules.real_time
            moved = after_ticks(self.now, low, high, last=last, at=at, resting=rests)
            # Paper: a target that is touched counts, and the stop stays where candles put it.
            self.now = moved if rules.real_time else replace(self.now, exit_reason=moved.exit_reason)
            self._note_stop(last, sign, now)
        if rules.real_time:
            self._check_resting_stop(quotes, rules.stop_overdue, now)

    def lose_sight(self) -> None:
        """Note that the price is not known: it is compared anew, and so is counted how long it was beyond the stop."""
        self.beyond_since, self.compared = None, False

    def is_worth_storing(self, rules: GuardRules, now: float) -> bool:
        """Return whether a touch is not stored, or the stop is a step of the price away and was not stored just now."""
        if self.now.exit_reason:
            return not self.stored.exit_reason
        stop, before = self.now.stop_loss, self.stored.stop_loss
        if stop is None or stop == before or now - self.stored_at < rules.trail_seconds:
            return False
        return before is None or abs(stop - before) >= self.increment

    def _note_stop(self, last: float, sign: int, now: float) -> None:
        stop = self.now.stop_loss
        if stop is None or sign * last > sign * float(stop):
            self.beyond_since = None
        elif self.beyond_since is None:
            self.beyond_since = now

    def _check_resting_stop(self, quotes: PairQuotes, overdue: float, now: float) -> None:
        if self.is_touched or self.beyond_since is None or now - self.beyond_since < overdue:
            return
        price = quotes.bid if self.now.quantity > 0 else quotes.ask
        since = f"for {now - self.beyond_since:.0f} s (at {price:f})"
        beyond = f"the price has been beyond the stop {self.now.stop_loss:f} {since}"
        why = f"{beyond}, and the one at the venue did not fire"
        self.now = replace(self.now, exit_reason=why)


def _plan(position: Position) -> Mapping[str, object]:
    """Return what says that two readings are of the same position with the same plan."""
    names = ("opened_at", "entry_price", "take_profit", "trailing_after", "trailing_distance")
    return {name: getattr(position, name) for name in names} | {"long": position.quantity > 0}
