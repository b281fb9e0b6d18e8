"""Messages on the bus: one versioned schema per topic, as JSON that any language reads (docs/bus.md).

`{"schema":"trade","version":1,...}`: a new optional field keeps the version, every other change raises it. Times are
RFC 3339 in UTC, pairs are written BTC/USDT, prices and quantities are JSON numbers.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from trading.bus_messages import (
    ALERTS,
    BOOK,
    DECISIONS,
    AlertMessage,
    BusMessage,
    DecisionMessage,
    Time,
    alert,
    encode,
)
from trading.errors import InvalidMessage
from trading.market import Timeframe
from trading.ports import Record

__all__ = [
    "ALERTS",
    "BOOK",
    "DEAD_LETTERS",
    "DECISIONS",
    "FEATURES",
    "OHLCV_RAW",
    "SCHEMAS",
    "TICKER",
    "TRADES",
    "AlertMessage",
    "BookMessage",
    "BusMessage",
    "CandleMessage",
    "DeadLetter",
    "DecisionMessage",
    "FeaturesMessage",
    "ReplacedCandle",
    "TickerMessage",
    "Time",
    "TradeMessage",
    "alert",
    "decode",
    "encode",
    "origin_of",
]

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MOST = 2**63  # whole numbers of a store stay below
TRADES, TICKER, OHLCV_RAW = "trades", "ticker", "ohlcv-raw"
FEATURES, DEAD_LETTERS = "features", "dead-letters"


class _OfPair(BusMessage, frozen=True, kw_only=True):
    origin: str  # the venue
    pair: str  # BTC/USDT

    def bus_key(self) -> str:
        return self.pair.replace("/", "-")


class TradeMessage(_OfPair, frozen=True, kw_only=True):
    """A trade that was executed on the venue, each id once in almost every case: consumers de-duplicate by id."""

    topic = TRADES
    schema_name = "trade"
    trade_id: int | None
    side: str | None
    price: float
    quantity: float
    at: Time
    known_at: Time
    backfilled: bool = False  # read from the venue's history after a gap


class ReplacedCandle(Struct, frozen=True, kw_only=True):
    """The revision that a restated candle replaces."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int | None
    basis: str
    known_at: Time


class CandleMessage(_OfPair, frozen=True, kw_only=True):
    """A closed candle, or a new revision of one; trades = 0: nothing traded, four times the last price."""

    topic = OHLCV_RAW
    schema_name = "candle"
    timeframe: str
    open_time: Time
    close_time: Time
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int | None
    first_trade_id: int | None
    last_trade_id: int | None
    basis: str  # trades | venue
    known_at: Time
    replaces: ReplacedCandle | None = None

    def __post_init__(self) -> None:
        timeframe = Timeframe(self.timeframe)
        opens = timeframe.floor(self.open_time)
        if (self.open_time, self.close_time) != (opens, opens + timeframe.duration):
            times = f"{self.open_time.isoformat()} to {self.close_time.isoformat()}"
            raise ValueError(f"{times} is no {self.timeframe} candle of the grid")


class TickerMessage(_OfPair, frozen=True, kw_only=True):
    """Best bid and ask, last price, and volume of 24 hours in the base asset; null where the venue says nothing."""

    topic = TICKER
    schema_name = "ticker"
    bid: float | None
    bid_quantity: float | None
    ask: float | None
    ask_quantity: float | None
    last: float | None
    volume: float | None
    at: Time
    known_at: Time


class BookMessage(_OfPair, frozen=True, kw_only=True):
    """A sample of the order book whose checksum was right at that moment; levels are [price, quantity], best first."""

    topic = BOOK
    schema_name = "book"
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    at: Time  # on the grid of [stream] book_interval
    changed_at: Time | None  # of the venue's newest change of it; null where the venue does not say
    known_at: Time


class FeaturesMessage(_OfPair, frozen=True, kw_only=True):
    """The feature row of a closed candle, as the batch table has it; null where a feature is not known yet."""

    topic = FEATURES
    schema_name = "features"
    timeframe: str
    close_time: Time
    values: dict[str, float | None]
    regime: str | None
    known_at: Time


class DeadLetter(BusMessage, frozen=True, kw_only=True):
    """A record that a consumer could not read. `value` is the record as text where it is UTF-8, else in base64."""

    topic = DEAD_LETTERS
    schema_name = "dead-letter"
    group: str
    of_topic: str
    key: str
    partition: int
    offset: int
    value: str
    base64: bool
    reason: str
    at: Time

    def bus_key(self) -> str:
        return self.of_topic


SCHEMAS: dict[str, type[BusMessage]] = {
    each.topic: each
    for each in (
        TradeMessage, CandleMessage, TickerMessage, BookMessage, FeaturesMessage, DecisionMessage, AlertMessage,
        DeadLetter,
    )
}  # fmt: skip
Schema = TypeVar("Schema", bound=BusMessage)


class _Head(Struct, frozen=True):
    schema: str
    version: int


@cache
def _decoder(kind: type[Any]) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def decode(record: Record, kind: type[Schema]) -> Schema:
    """Read the record as `kind`. InvalidMessage for another schema, an unknown version or what breaks the schema."""
    try:
        head: _Head = _decoder(_Head).decode(record.value)
        if head.schema != kind.schema_name:
            raise InvalidMessage(record.topic, f"the schema is {head.schema!r}, not {kind.schema_name!r}")
        if head.version != kind.schema_version:
            raise InvalidMessage(
                record.topic,
                f"version {head.version} of {head.schema} is not known here, only {kind.schema_version}",
            )
        message: Schema = _decoder(kind).decode(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise InvalidMessage(record.topic, f"cannot be read: {error}") from error
    for name, value in zip(message.__struct_fields__, msgspec.structs.astuple(message), strict=True):
        if not _is_storable(value):
            raise InvalidMessage(record.topic, f"{name} is {value}: no store can hold it")
    return message


def _is_storable(value: object) -> bool:
    match value:
        case datetime():
            return EARLIEST <= value < LATEST
        case int():
            return abs(value) < MOST
        case _:
            return True


class _Origin(Struct):
    origin: str | None = None


def origin_of(record: Record) -> str | None:
    """Return the venue that the record is of; None where it names none, or cannot be read."""
    try:
        found: _Origin = _decoder(_Origin).decode(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found.origin
