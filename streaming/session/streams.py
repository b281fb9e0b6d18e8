"""One channel of one pair over all connections: its state, and since when its data is unknown."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from streaming.events import Channel, Subscription
from streaming.session.output import Moment
from streaming.session.settings import BookMode
from trading.errors import InvalidValue
from trading.market import Pair

StreamKey = tuple[Channel, Pair | None]
CHANNEL_NAMES = {
    channel.value: channel for channel in Channel
} | {  # in errors about messages: ours and the venues' own
    "ohlc": Channel.CANDLE,
    "index": Channel.TICKER,
    "top of book": Channel.TICKER,
    "book snapshot": Channel.BOOK,
}


class StreamState(Enum):
    """Where the subscription stands on the current connection."""

    IDLE = "idle"  # not requested
    AWAITING_LISTING = "awaiting listing"  # a book whose decimals are not known yet
    QUEUED = "queued"
    UNSUBSCRIBING = "unsubscribing"  # to subscribe again
    REQUESTED = "requested"
    LIVE = "live"
    REFUSED = "refused"


RECEIVING = (StreamState.REQUESTED, StreamState.LIVE)


@dataclass(frozen=True, slots=True)
class Interruption:
    """The time since when a stream's data is unknown, and the cause."""

    since: datetime
    reason: str


@dataclass(slots=True, eq=False)
class Stream:
    """One subscription to one channel of one pair, kept over all connections."""

    subscription: Subscription
    wanted: bool = True  # by the consumer; the session requests listings of its own accord
    state: StreamState = StreamState.IDLE
    unsubscribe_first: bool = False
    last_message: Moment | None = (
        None  # or the response that it was subscribed to, where no snapshot must follow
    )
    confirmed_at: float = 0.0  # seconds, as in `Moment`
    interruption: Interruption | None = None
    unanswered: int = 0  # requests in a row that brought neither response nor message
    refusals: int = 0  # in a row
    refused_at: float = 0.0
    break_times: deque[float] = field(default_factory=deque)
    times_live: int = (
        0  # each is a subscription of its own: between two of them messages may have been missed
    )

    def go_live(self) -> None:
        """Note that the venue has confirmed the subscription, by its response or by a message."""
        self.state = StreamState.LIVE
        self.times_live += 1

    @property
    def channel(self) -> Channel:
        return self.subscription.channel

    @property
    def pair(self) -> Pair | None:
        return self.subscription.pairs[0] if self.subscription.pairs else None

    @property
    def key(self) -> StreamKey:
        return self.channel, self.pair

    def __str__(self) -> str:
        return f"{self.channel.value} {self.pair or ''}".rstrip()


def session_streams(subscriptions: Iterable[Subscription], mode: BookMode) -> dict[StreamKey, Stream]:
    """Return one stream for each pair, and the listings that books of limited depth need.

    Each pair may be refused, silent or broken alone. InvalidValue for a repeated subscription, or for none.
    """
    streams: dict[StreamKey, Stream] = {}
    for subscription in subscriptions:
        for pair in subscription.pairs or (None,):
            stream = Stream(replace(subscription, pairs=() if pair is None else (pair,)))
            if stream.key in streams:
                raise InvalidValue(f"{stream} is subscribed to twice: one depth or timeframe per connection")
            streams[stream.key] = stream
    if not streams:
        raise InvalidValue("a session without subscriptions hears nothing: name at least one")
    if mode is BookMode.LIMITED_DEPTH and any(channel is Channel.BOOK for channel, _ in streams):
        listings = Stream(Subscription(Channel.INSTRUMENT), wanted=False)
        streams = {listings.key: listings} | streams
    return streams


def affected_streams(streams: Iterable[Stream], channel: str, frame: str | bytes) -> list[Stream]:
    """Return the streams an unreadable frame may belong to: all of its channel, or those whose pair it names whole."""
    candidates = [stream for stream in streams if stream.channel is CHANNEL_NAMES.get(channel)]
    if len(candidates) < 2:
        return candidates
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        return candidates
    return [stream for stream in candidates if _mentions(text, stream.pair)] or candidates


def _mentions(text: str, pair: Pair | None) -> bool:
    if pair is None:
        return False
    return f'"{pair}"' in text or (f'"{pair.base}"' in text and f'"{pair.quote}"' in text)


def count_exceeds(times: deque[float], now: float, maximum: int, period: float) -> bool:
    """Add `now` to the times and return whether more than `maximum` lie within the last `period` seconds."""
    times.append(now)
    while times[0] < now - period:
        times.popleft()
    return len(times) > maximum
