"""One channel of one pair over all connections: where it stands, and since when it is not known."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from streaming.events import PRIVATE, Channel, Subscription
from streaming.session.output import Moment
from trading.errors import InvalidValue
from trading.market import Pair

Key = tuple[Channel, Pair | None]
NAMES = {
    channel.value: channel for channel in Channel
} | {  # in refusals of messages: ours and the venues' own
    "ohlc": Channel.CANDLE,
    "index": Channel.TICKER,
    "top of book": Channel.TICKER,
    "book snapshot": Channel.BOOK,
}
RENEWED = PRIVATE | {Channel.INSTRUMENT}


class State(Enum):
    IDLE = "idle"  # not asked for on this connection
    UNLISTED = "unlisted"  # a book that waits for its decimals
    QUEUED = "queued"
    LEAVING = "leaving"  # unsubscribing, to subscribe again
    ASKED = "asked"
    LIVE = "live"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Break:
    since: datetime
    reason: str


@dataclass(slots=True, eq=False)
class Stream:
    subscription: Subscription
    wanted: bool = True  # by the consumer; the session asks for listings of its own accord
    state: State = State.IDLE
    leave: bool = False  # unsubscribe before subscribing
    heard: Moment | None = None  # the last message, or the answer that it was subscribed to
    broken: Break | None = None
    unanswered: int = 0  # requests in a row that brought neither answer nor message
    refusals: int = 0  # in a row
    refused: float = 0.0  # when, last
    breaks: deque[float] = field(default_factory=deque)

    @property
    def channel(self) -> Channel:
        return self.subscription.channel

    @property
    def pair(self) -> Pair | None:
        return self.subscription.pairs[0] if self.subscription.pairs else None

    @property
    def key(self) -> Key:
        return self.channel, self.pair

    def __str__(self) -> str:
        return f"{self.channel.value} {self.pair or ''}".rstrip()


def single_streams(subscriptions: Iterable[Subscription]) -> dict[Key, Stream]:
    """One stream for each pair, as each may be refused, silent or broken alone. InvalidValue for a repeated one."""
    streams: dict[Key, Stream] = {}
    for subscription in subscriptions:
        for pair in subscription.pairs or (None,):
            stream = Stream(replace(subscription, pairs=() if pair is None else (pair,)))
            if stream.key in streams:
                raise InvalidValue(f"{stream} is subscribed to twice: one depth or timeframe per connection")
            streams[stream.key] = stream
    if not streams:
        raise InvalidValue("a session without subscriptions hears nothing: name at least one")
    return streams


def concerned(streams: Iterable[Stream], channel: str, frame: str | bytes) -> list[Stream]:
    """Those to which an unreadable message may have belonged: of its channel all, or those that a whole frame names."""
    candidates = [stream for stream in streams if stream.channel is NAMES.get(channel)]
    if len(candidates) < 2:
        return candidates
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        return candidates
    return [stream for stream in candidates if _names(text, stream.pair)] or candidates


def _names(text: str, pair: Pair | None) -> bool:
    if pair is None:
        return False
    return f'"{pair}"' in text or (f'"{pair.base}"' in text and f'"{pair.quote}"' in text)


def confirmed_by_answer(channel: Channel) -> bool:
    """Whether the answer alone proves that nothing is missed from now on, as an empty snapshot says nothing."""
    return channel in PRIVATE


def too_many(times: deque[float], now: float, most: int, period: float) -> bool:
    """Enter `now`; whether more than `most` lie within the last `period` seconds."""
    times.append(now)
    while times[0] < now - period:
        times.popleft()
    return len(times) > most
