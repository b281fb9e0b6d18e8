"""How long a session waits and how much it tolerates."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from streaming.events import Channel


class BookMode(Enum):
    """How a venue sends its order books."""

    LIMITED_DEPTH = "limited depth"  # with a checksum over the decimals that the instrument channel lists
    FULL_DEPTH = "full depth"  # every level there is, without a checksum: decimals do not matter


SILENCE_TIMEOUTS = {
    Channel.TICKER: timedelta(seconds=60),
    Channel.BOOK: timedelta(seconds=30),
    Channel.TRADE: timedelta(minutes=10),
    Channel.CANDLE: timedelta(minutes=10),
}


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Timeouts and limits of a session. Quiet markets exist: channels without trades are no faults.

    Our own orders, our balances and listings may be silent for ever, so a dead subscription looks like a quiet one:
    after `renewal_interval` without a message they are subscribed to again. That makes nothing unknown, because the
    snapshot repeats everything that stands, the last fills included; only a gap in their sequence numbers does, or a
    snapshot that does not come within `response_timeout` of the response or whose number is skipped.
    """

    silence_timeouts: dict[Channel, timedelta] = field(default_factory=lambda: dict(SILENCE_TIMEOUTS))
    response_timeout: timedelta = timedelta(seconds=10)  # of a request, and of a first snapshot or listing
    renewal_interval: timedelta = timedelta(minutes=15)
    refused_retry_interval: timedelta = timedelta(minutes=5)
    max_attempts: int = 3  # requests in a row without a response or a message: the connection is closed
    max_in_flight: int = 20  # requests without a response: venues limit how many messages they take
    reorder_window: timedelta = timedelta(seconds=2)  # how long a trade waits for those that it overtook
    max_breaks: int = 5  # of one channel of one pair within `counting_period`: the connection is closed
    max_unreadable: int = 20  # messages within `counting_period`: the connection is closed
    counting_period: timedelta = timedelta(minutes=1)
    book_mode: BookMode = BookMode.LIMITED_DEPTH
