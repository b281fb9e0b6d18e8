"""Kraken's frames as msgspec decodes them into types by itself, and the same made into our events; no further check."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from streaming import events
from trading.market import Pair, Timeframe
from trading.orders import Side

TIMEFRAMES = {frame.duration // timedelta(minutes=1): frame for frame in Timeframe}


class TradeRow(Struct):
    symbol: str
    side: Side
    price: float
    qty: float
    trade_id: int
    timestamp: datetime


class Trades(Struct, tag_field="channel", tag="trade"):
    type: str
    data: list[TradeRow]


class TickerRow(Struct):
    symbol: str
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    last: float
    volume: float
    timestamp: datetime | None = None


class Tickers(Struct, tag_field="channel", tag="ticker"):
    type: str
    data: list[TickerRow]


class CandleRow(Struct):
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    interval: int
    interval_begin: datetime


class Candles(Struct, tag_field="channel", tag="ohlc"):
    type: str
    data: list[CandleRow]


class LevelRow(Struct):
    price: Decimal
    qty: Decimal


class BookRow(Struct):
    symbol: str
    bids: list[LevelRow]
    asks: list[LevelRow]
    checksum: int
    timestamp: datetime | None = None


class Books(Struct, tag_field="channel", tag="book"):
    type: str
    data: list[BookRow]


decode = Decoder(Trades | Tickers | Candles | Books).decode


def decode_to_events(frame: str) -> list[events.Event]:
    """Convert the decoded frame to our events, each made by its constructor."""
    message: Any = decode(frame)
    make = MAKERS[type(message)]
    return [make(row, message.type) for row in message.data]


@cache
def _pair(symbol: str) -> Pair:
    base, _, quote = symbol.partition("/")
    return Pair(base, quote)


def _trade(row: TradeRow, kind: str) -> events.Event:
    return events.Trade(_pair(row.symbol), row.trade_id, row.side, row.price, row.qty, row.timestamp)


def _ticker(row: TickerRow, kind: str) -> events.Event:
    return events.Ticker(
        _pair(row.symbol), row.bid, row.bid_qty, row.ask, row.ask_qty, row.last, row.volume, row.timestamp
    )


def _candle(row: CandleRow, kind: str) -> events.Event:
    return events.Candle(
        pair=_pair(row.symbol),
        timeframe=TIMEFRAMES[row.interval],
        open_time=row.interval_begin,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        trades=row.trades,
    )


def _book(row: BookRow, kind: str) -> events.Event:
    return events.BookChange(
        pair=_pair(row.symbol),
        snapshot=kind == "snapshot",
        bids=tuple((level.price, level.qty) for level in row.bids),
        asks=tuple((level.price, level.qty) for level in row.asks),
        checksum=row.checksum,
        sequence=None,
        at=row.timestamp,
    )


MAKERS: dict[type[Struct], Callable[[Any, str], events.Event]] = {
    Trades: _trade,
    Tickers: _ticker,
    Candles: _candle,
    Books: _book,
}
