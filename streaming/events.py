"""Events of a venue's stream: the same types for every venue. Times are UTC.

Market data for analysis is float64; the levels of a book and everything about our own orders and money are exact
decimals. Events are msgspec structs: a stream makes a great many, and a frozen dataclass takes three times as long.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from trading.market import Instrument, Pair, Timeframe
from trading.orders import Side


class Channel(StrEnum):
    """A kind of data that can be subscribed to; each venue's feed knows the venue's name for it."""

    INSTRUMENT = "instrument"
    TICKER = "ticker"
    TRADE = "trade"
    CANDLE = "candle"
    BOOK = "book"
    EXECUTIONS = "executions"  # private: our own orders and fills
    BALANCES = "balances"  # private: our own money


PRIVATE = frozenset({Channel.EXECUTIONS, Channel.BALANCES})


@dataclass(frozen=True, slots=True)
class Subscription:
    """One channel for some pairs (none for channels that have no pairs)."""

    channel: Channel
    pairs: tuple[Pair, ...] = ()
    depth: int = 10  # of a book
    timeframe: Timeframe = Timeframe.M1  # of candles


class Trade(Struct, frozen=True):
    """A trade that was executed on the venue."""

    pair: Pair
    trade_id: int | None  # the venue's sequence number, None where it gives none
    side: Side | None  # of the taker, None where the venue does not know it
    price: float
    quantity: float  # base currency
    at: datetime


class Candle(Struct, frozen=True):
    """A candle as it stands. Only the clock tells when it is closed, because no message says so."""

    pair: Pair
    timeframe: Timeframe
    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float  # base currency
    trades: int | None


class Ticker(Struct, frozen=True):
    """Best bid and ask, last price and volume; None where the venue has not sent it yet."""

    pair: Pair
    bid: float | None
    bid_quantity: float | None
    ask: float | None
    ask_quantity: float | None
    last: float | None
    volume: float | None  # base currency, 24 hours
    at: datetime | None


Level = tuple[Decimal, Decimal]  # price, quantity; quantity 0 removes the level


class BookChange(Struct, frozen=True):
    """Levels in the order they have to be applied; a snapshot replaces the book."""

    pair: Pair
    snapshot: bool
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    checksum: int | None  # CRC-32 of the top of the book after this change, None where the venue sends none
    sequence: int | None  # rises by one where the venue counts its changes
    at: datetime | None


class InstrumentListing(Struct, frozen=True):
    """The trading rules of a pair as the venue lists them now. Fees are not part of the stream: they are zero here."""

    instrument: Instrument
    price_decimals: int
    quantity_decimals: int


class UnreadableMessage(Struct, frozen=True):
    """A message, or a part of one, that could not be read; `pair` where at least that could be."""

    channel: str
    pair: Pair | None
    reason: str
    content: str | bytes


class Execution(Struct, frozen=True):
    """A change of one of our orders; `snapshot` when it repeats what was known before."""

    sequence: int
    snapshot: bool
    order_id: str
    client_order_id: str
    pair: Pair | None  # the venue leaves out what has not changed
    kind: str  # the venue's word: new, trade, filled, canceled ...
    status: str  # the venue's word for the order's state, empty when left out
    side: Side | None
    quantity: Decimal | None
    filled: Decimal | None  # so far
    average_price: Decimal | None
    fill_id: str  # empty when this is not a fill
    fill_price: Decimal | None
    fill_quantity: Decimal | None
    fees: tuple[tuple[str, Decimal], ...]  # asset and amount of this fill
    reason: str
    at: datetime


class Balance(Struct, frozen=True):
    """The amount of one asset in one of our wallets."""

    sequence: int
    snapshot: bool
    asset: str
    amount: Decimal
    at: datetime | None
    wallet: str = "spot"  # what orders are paid from; what lies elsewhere cannot be spent


class EmptyMessage(Struct, frozen=True):
    """A private message without content, as the snapshot of an account without orders: only its number counts."""

    channel: Channel
    sequence: int
    snapshot: bool


class VenueStatus(Struct, frozen=True):
    """The state of the venue as a whole, in its own words: `online`, `maintenance`, `cancel_only`, `post_only` ..."""

    status: str
    connection_id: str


class Heartbeat(Struct, frozen=True):
    """A sign that the connection is alive; it means nothing for any channel."""


class Acknowledgement(Struct, frozen=True):
    """The response to one request, for one pair where the venue responds for each pair."""

    request_id: int | None
    method: str
    channel: Channel | None
    pair: Pair | None
    success: bool
    error: str
    warnings: tuple[str, ...] = ()


class UnknownInterval(Struct, frozen=True):
    """Messages of the channel may have been missed from `since` to `until`: nothing fills that in."""

    channel: Channel
    pair: Pair | None
    since: datetime
    until: datetime
    reason: str


Event = (
    Trade
    | Candle
    | Ticker
    | BookChange
    | InstrumentListing
    | UnreadableMessage
    | Execution
    | Balance
    | EmptyMessage
    | VenueStatus
    | Heartbeat
    | Acknowledgement
)
