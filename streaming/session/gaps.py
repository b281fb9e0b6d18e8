"""Detection of missing messages: by the ids of trades and by sequence numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from streaming.events import Channel, Trade, UnknownInterval

MAX_WAITING = 1_000
RESTART_AGE = timedelta(seconds=5)  # an old id on a trade so much newer than the last: the venue counts anew


@dataclass(frozen=True, slots=True)
class _WaitingTrade:
    trade: Trade
    since: float


class TradeSequencer:
    """The trades of one pair, each once and by rising id, over all connections.

    A trade that overtook others waits for them for `reorder_window` seconds. What has not come by then is reported as
    `UnknownInterval`, from the last trade before it to the first one after it in the venue's time, and is dropped if it
    comes later still.
    """

    def __init__(self, reorder_window: float) -> None:
        self._reorder_window = reorder_window
        self._last: tuple[int, Trade] | None = None
        self._waiting: dict[int, _WaitingTrade] = {}

    @property
    def proves_gaps(self) -> bool:
        """True when ids prove what is missing, so that an interruption alone leaves nothing unknown."""
        return self._last is not None

    @property
    def waits(self) -> bool:
        """True while trades wait for those that they overtook."""
        return bool(self._waiting)

    def add(self, trades: Sequence[Trade], now: float) -> Iterator[Trade | UnknownInterval]:
        """Sort in the trades of one message, in any order; those without an id pass as they are."""
        yield from (trade for trade in trades if trade.trade_id is None)
        numbered = ((trade.trade_id, trade) for trade in trades if trade.trade_id is not None)
        for number, trade in sorted(numbered, key=lambda each: each[0]):
            yield from self._add_one(number, trade, now)

    def release_overdue(self, now: float) -> Iterator[Trade | UnknownInterval]:
        """Return what has waited long enough, after the gap before it."""
        while (
            self._waiting and min(each.since for each in self._waiting.values()) + self._reorder_window <= now
        ):
            yield from self._skip_gap()

    def restart_waiting(self, now: float) -> None:
        """Let all waiting trades wait from `now`: before that the venue could not fill any gap."""
        self._waiting = {number: replace(each, since=now) for number, each in self._waiting.items()}

    def flush(self) -> Iterator[Trade | UnknownInterval]:
        """Return everything that waits: nothing more will come."""
        while self._waiting:
            yield from self._skip_gap()

    def _add_one(self, number: int, trade: Trade, now: float) -> Iterator[Trade | UnknownInterval]:
        if self._last is None or number == self._last[0] + 1:
            self._last = number, trade
            yield trade
            yield from self._release_following()
        elif number > self._last[0]:
            self._waiting.setdefault(number, _WaitingTrade(trade, now))
            if len(self._waiting) > MAX_WAITING:
                yield from self._skip_gap()
        elif trade.at > self._last[1].at + RESTART_AGE:
            yield from self.flush()
            yield self._unknown_until(trade, f"trade ids began again at {number}")
            self._last = number, trade
            yield trade

    def _release_following(self) -> Iterator[Trade]:
        """Return the waiting trades that now follow without a gap."""
        while self._last is not None and (following := self._waiting.pop(self._last[0] + 1, None)):
            self._last = self._last[0] + 1, following.trade
            yield following.trade

    def _skip_gap(self) -> Iterator[Trade | UnknownInterval]:
        number = min(self._waiting)
        trade = self._waiting.pop(number).trade
        assert self._last is not None  # only what does not follow the last one waits
        first = self._last[0] + 1
        missing = f"trade {first} is" if number == first + 1 else f"trades {first} to {number - 1} are"
        yield self._unknown_until(trade, f"{missing} missing")
        self._last = number, trade
        yield trade
        yield from self._release_following()

    def _unknown_until(self, following: Trade, reason: str) -> UnknownInterval:
        assert self._last is not None
        times = self._last[1].at, following.at
        return UnknownInterval(Channel.TRADE, following.pair, min(times), max(times), reason)


class SequenceStep(Enum):
    """How a sequence number relates to the last one."""

    NEXT = "next"
    REPEATED = "repeated"
    EARLIER = "earlier"  # than the newest: late, or the venue counts anew
    GAP = "gap"


class SequenceTracker:
    """Sequence numbers that rise by one with each message; a snapshot begins anew.

    A subscription's first message is its snapshot or has number 1. Any other proves that the snapshot was lost, and
    with it whatever it would have repeated.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._frame = -1

    @property
    def last(self) -> int | None:
        return self._last

    def advance(self, number: int, snapshot: bool, frame: int) -> SequenceStep:
        """Return the step to `number`. `frame` tells events of one message apart from a message that came twice."""
        if snapshot or number == (self._last or 0) + 1:
            self._last, self._frame = number, frame
            return SequenceStep.NEXT
        if self._last is None:
            return SequenceStep.GAP
        if number == self._last:
            return SequenceStep.NEXT if frame == self._frame else SequenceStep.REPEATED
        return SequenceStep.EARLIER if number < self._last else SequenceStep.GAP

    def reset(self) -> None:
        """Expect the first message of a new subscription."""
        self._last = None
