"""Records of the bus for tests of sinks, and candles that are stored and published as the stream does it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from streaming.messages import BusMessage, CandleMessage, encode
from trading.closed_candles import ClosedCandle
from trading.ports import Message, Record
from trading.stores.postgres.connection import Database
from trading.stores.postgres.outbox import append_many

AT = datetime(2026, 3, 1, tzinfo=UTC)


def candle_message(candle: ClosedCandle) -> CandleMessage:
    return CandleMessage(
        origin=candle.origin,
        pair=str(candle.pair),
        timeframe=candle.timeframe.value,
        open_time=candle.open_time,
        close_time=candle.close_time,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        trades=candle.trades,
        first_trade_id=candle.first_trade_id,
        last_trade_id=candle.last_trade_id,
        basis=candle.basis.value,
        known_at=candle.known_at,
    )


def records(messages: Iterable[BusMessage], first: int = 1) -> list[Record]:
    encoded = map(encode, messages)
    return [
        Record(each.topic, each.key, each.value, 0, offset, AT) for offset, each in enumerate(encoded, first)
    ]


def candle_records(candles: Iterable[ClosedCandle]) -> list[Record]:
    return records(map(candle_message, candles))


def publish(dsn: str, messages: Sequence[BusMessage]) -> None:
    encoded: list[Message] = list(map(encode, messages))
    with Database(dsn).transaction() as connection:
        append_many(connection, encoded)
