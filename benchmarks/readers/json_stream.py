"""A plain reader of Kraken's frames: `json`, dictionaries, and the same events. No check beyond the keys it needs.

A yardstick for speed, and a second opinion on what a frame says.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from streaming.events import BookChange, Candle, Event, Level, Ticker, Trade
from trading.market import Pair, Timeframe
from trading.orders import Side

TIMEFRAMES = {frame.duration // timedelta(minutes=1): frame for frame in Timeframe}
Row = dict[str, Any]


def decode(frame: str) -> list[Event]:
    """Events of ticker, trade, ohlc and book frames."""
    message = json.loads(frame, parse_float=Decimal if '"book"' in frame else None)
    read = READERS[message["channel"]]
    return [read(row, message["type"]) for row in message["data"]]


def _trade(row: Row, kind: str) -> Event:
    return Trade(
        pair=_pair(row["symbol"]),
        trade_id=row["trade_id"],
        side=Side(row["side"]),
        price=float(row["price"]),
        quantity=float(row["qty"]),
        at=_time(row["timestamp"]),
    )


def _ticker(row: Row, kind: str) -> Event:
    return Ticker(
        pair=_pair(row["symbol"]),
        bid=_float(row.get("bid")),
        bid_quantity=_float(row.get("bid_qty")),
        ask=_float(row.get("ask")),
        ask_quantity=_float(row.get("ask_qty")),
        last=_float(row.get("last")),
        volume=_float(row.get("volume")),
        at=_time(row["timestamp"]) if row.get("timestamp") is not None else None,
    )


def _candle(row: Row, kind: str) -> Event:
    return Candle(
        pair=_pair(row["symbol"]),
        timeframe=TIMEFRAMES[row["interval"]],
        open_time=_time(row["interval_begin"]),
        open=float(row["open"]),
        high=float(row["high"]),
        low=float(row["low"]),
        close=float(row["close"]),
        volume=float(row["volume"]),
        trades=row["trades"],
    )


def _book(row: Row, kind: str) -> Event:
    return BookChange(
        pair=_pair(row["symbol"]),
        snapshot=kind == "snapshot",
        bids=tuple(_level(level) for level in row["bids"]),
        asks=tuple(_level(level) for level in row["asks"]),
        checksum=row["checksum"],
        sequence=None,
        at=_time(row["timestamp"]) if row.get("timestamp") is not None else None,
    )


def _level(level: Row) -> Level:
    return Decimal(level["price"]), Decimal(level["qty"])


@cache
def _pair(symbol: str) -> Pair:
    base, _, quote = symbol.partition("/")
    return Pair(base, quote)


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)


def _time(text: str) -> datetime:
    """Return the time, with digits beyond microseconds rounded."""
    text = text.upper()
    if len(text) <= len("2023-09-25T07:49:37.708706Z"):
        return datetime.fromisoformat(text)
    whole, digits, zone = re.fullmatch(r"(.*)\.(\d+)(.*)", text).groups()  # type: ignore[union-attr]
    seconds = datetime.fromisoformat(whole + zone)
    return seconds + timedelta(microseconds=(int(digits) * 2 * 10**6 // 10 ** len(digits) + 1) // 2)


READERS: dict[str, Callable[[Row, str], Event]] = {
    "trade": _trade,
    "ticker": _ticker,
    "ohlc": _candle,
    "book": _book,
}
