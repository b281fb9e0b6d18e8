"""Whether anything is missing between two messages: by the ids of trades and by the numbers of messages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from streaming.events import Channel, Trade, Unknown

MOST_HELD = 1_000
BEGAN_AGAIN = timedelta(seconds=5)  # an old id on a trade so much newer than the last: the venue counts anew


@dataclass(frozen=True, slots=True)
class _Held:
    trade: Trade
    since: float


class TradeOrder:
    """The trades of one pair, each once and by rising id, over all connections.

    A trade that overtook others is held back for `patience` seconds. What then has not come is told as `Unknown`, from
    the last trade before it to the first one after it in the venue's time, and is dropped if it comes later still.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._last: tuple[int, Trade] | None = None
        self._held: dict[int, _Held] = {}

    @property
    def counts(self) -> bool:
        """Whether ids prove what is missing, so that an interruption alone leaves nothing unknown."""
        return self._last is not None

    def offer(self, trades: Sequence[Trade], now: float) -> Iterator[Trade | Unknown]:
        """Trades of one message, in any order; those that nobody numbered pass as they are."""
        yield from (trade for trade in trades if trade.trade_id is None)
        numbered = ((trade.trade_id, trade) for trade in trades if trade.trade_id is not None)
        for number, trade in sorted(numbered, key=lambda each: each[0]):
            yield from self._take(number, trade, now)

    def overdue(self, now: float) -> Iterator[Trade | Unknown]:
        """What has been held back for long enough, after the gap before it."""
        while self._held and min(held.since for held in self._held.values()) + self._patience <= now:
            yield from self._skip()

    def wait_again(self, now: float) -> None:
        """The venue could not fill any gap until `now`."""
        self._held = {number: replace(held, since=now) for number, held in self._held.items()}

    def flush(self) -> Iterator[Trade | Unknown]:
        """Everything that is held back: nothing more will come."""
        while self._held:
            yield from self._skip()

    def _take(self, number: int, trade: Trade, now: float) -> Iterator[Trade | Unknown]:
        if self._last is None or number == self._last[0] + 1:
            self._last = number, trade
            yield trade
            yield from self._next()
        elif number > self._last[0]:
            self._held.setdefault(number, _Held(trade, now))
            if len(self._held) > MOST_HELD:
                yield from self._skip()
        elif trade.at > self._last[1].at + BEGAN_AGAIN:
            yield from self.flush()
            yield self._unknown(trade, f"trade ids began again at {number}")
            self._last = number, trade
            yield trade

    def _next(self) -> Iterator[Trade]:
        """Those held back that follow without a gap."""
        while self._last is not None and (held := self._held.pop(self._last[0] + 1, None)) is not None:
            self._last = self._last[0] + 1, held.trade
            yield held.trade

    def _skip(self) -> Iterator[Trade | Unknown]:
        number = min(self._held)
        held = self._held.pop(number)
        assert self._last is not None  # only what does not follow the last one is held
        first = self._last[0] + 1
        missing = f"trade {first} is" if number == first + 1 else f"trades {first} to {number - 1} are"
        yield self._unknown(held.trade, f"{missing} missing")
        self._last = number, held.trade
        yield held.trade
        yield from self._next()

    def _unknown(self, following: Trade, reason: str) -> Unknown:
        assert self._last is not None
        times = self._last[1].at, following.at
        return Unknown(Channel.TRADE, following.pair, min(times), max(times), reason)


class Step(Enum):
    NEXT = "next"
    REPEATED = "repeated"
    EARLIER = "earlier"  # than the newest: late, or the venue counts anew
    GAP = "gap"


class MessageNumbers:
    """Numbers that rise by one with each message; a snapshot begins anew."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._frame = -1

    @property
    def last(self) -> int | None:
        return self._last

    def step(self, number: int, snapshot: bool, frame: int) -> Step:
        """`frame` tells the events of one message apart from a message that came twice."""
        if self._last is None or snapshot or number == self._last + 1:
            self._last, self._frame = number, frame
            return Step.NEXT
        if number == self._last:
            return Step.NEXT if frame == self._frame else Step.REPEATED
        return Step.EARLIER if number < self._last else Step.GAP

    def forget(self) -> None:
        """The next number begins anew, whatever it is."""
        self._last = None
