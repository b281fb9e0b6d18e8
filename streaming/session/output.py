"""What goes into a session of a stream and what comes out of it, beside the venue's own events."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from streaming.events import Channel, Event, Level, Unknown
from trading.market import Pair


class Moment(NamedTuple):
    """`seconds` never go back and count only while somebody listens; `at` is our clock's UTC."""

    seconds: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Interrupted:
    """From `since` on the channel is not known, until `Restored`. A book of it must not be used any more."""

    channel: Channel
    pair: Pair | None
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The channel speaks again. What was missed, if anything, was told as `Unknown`."""

    channel: Channel
    pair: Pair | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The venue does not give this now; it is asked again after a while, and told again if it still refuses."""

    channel: Channel
    pair: Pair | None
    reason: str


@dataclass(frozen=True, slots=True)
class BestOffers:
    """The top of a verified book, each time that it has changed; None where a side is empty."""

    pair: Pair
    bid: Level | None
    ask: Level | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """There is no connection; the next attempt begins in `pause` seconds."""

    reason: str
    pause: float


Heard = Event | Unknown | Interrupted | Restored | SubscriptionRefused | BestOffers | Reconnecting


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A frame that could not be believed; `channel` is empty where even that could not be read."""

    frame: str | bytes
    channel: str
    reason: str


class End(Enum):
    """What a connection that has to be closed means for the next one."""

    RETRY = "retry"  # another connection may do better
    REFUSED = "refused"  # the venue gives nothing of what was asked for
    NOT_AUTHORISED = "not authorised"  # the venue does not accept the key


@dataclass(frozen=True, slots=True)
class Close:
    reason: str
    end: End = End.RETRY


@dataclass(slots=True)
class Output:
    """What one input led to, each list in order."""

    heard: list[Heard] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    undecodable: list[Undecodable] = field(default_factory=list)
    close: Close | None = None


class Books(Enum):
    """How a venue sends its order books."""

    LISTED = "listed"  # cut to the depth, with the decimals that the instrument channel lists
    WHOLE = "whole"  # every level there is, without a checksum: decimals do not matter


SILENCE = {
    Channel.TICKER: timedelta(seconds=60),
    Channel.BOOK: timedelta(seconds=30),
    Channel.TRADE: timedelta(minutes=10),
    Channel.CANDLE: timedelta(minutes=10),
}


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How long a session waits and how much it bears. Quiet markets exist: channels without trades are no faults.

    Our own orders, our money and listings may be silent for ever, so that a dead subscription looks like a quiet one:
    after `renewal` without a word they are subscribed to again. That calls nothing unknown, as the snapshot repeats
    all that stands, the last fills included; only a gap in the numbers of their messages does.
    """

    silence: dict[Channel, timedelta] = field(default_factory=lambda: dict(SILENCE))
    answer: timedelta = timedelta(
        seconds=10
    )  # for the answer to a request, and for a first snapshot or listing
    renewal: timedelta = timedelta(minutes=15)
    refused: timedelta = timedelta(minutes=5)  # until what was refused is asked for again
    asks: int = 3  # in a row without an answer or a message: the connection is closed
    in_flight: int = 20  # requests without an answer: venues limit how many messages they take
    patience: timedelta = timedelta(seconds=2)  # for trades that overtook others
    breaks: int = 5  # of one channel of one pair within `period`: the connection is closed
    undecodable: int = 20  # within `period`: the connection is closed
    period: timedelta = timedelta(minutes=1)
    books: Books = Books.LISTED
