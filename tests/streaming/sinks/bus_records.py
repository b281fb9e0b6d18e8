"""Records of the bus for tests of sinks, and candles that are stored and published as the stream does it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from streaming.messages import BusMessage, encode
from streaming.recorder.messages import candle_message
from trading.closed_candles import ClosedCandle
from trading.ports import Record
from trading.stores.postgres.connection import Database
from trading.stores.postgres.outbox import append_many

AT = datetime(2026, 3, 1, tzinfo=UTC)


def records(messages: Iterable[BusMessage], first: int = 1) -> list[Record]:
    encoded = map(encode, messages)
    return [
        Record(each.topic, each.key, each.value, 0, offset, AT) for offset, each in enumerate(encoded, first)
    ]


def candle_records(candles: Iterable[ClosedCandle]) -> list[Record]:
    return records(map(candle_message, candles))


def publish(dsn: str, messages: Sequence[BusMessage]) -> None:
    with Database(dsn).transaction() as connection:
        append_many(connection, list(map(encode, messages)))
