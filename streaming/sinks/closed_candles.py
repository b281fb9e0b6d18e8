"""Closed candles read from the bus, for every sink that takes them."""

from streaming.messages import CandleMessage, decode
from trading.closed_candles import Basis, ClosedCandle
from trading.errors import InvalidMessage
from trading.market import Pair, Timeframe
from trading.ports import Record


def closed_candle(record: Record) -> ClosedCandle:
    """Read a record of `ohlcv-raw`. InvalidMessage for what is none."""
    message = decode(record, CandleMessage)
    try:
        return ClosedCandle(
            origin=message.origin,
            pair=Pair.parse(message.pair),
            timeframe=Timeframe(message.timeframe),
            open_time=message.open_time,
            open=message.open,
            high=message.high,
            low=message.low,
            close=message.close,
            volume=message.volume,
            trades=message.trades,
            first_trade_id=message.first_trade_id,
            last_trade_id=message.last_trade_id,
            basis=Basis(message.basis),
            known_at=message.known_at,
        )
    except ValueError as error:
        raise InvalidMessage(record.topic, str(error)) from error
