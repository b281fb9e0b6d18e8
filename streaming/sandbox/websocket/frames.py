"""Public data as Kraken v2 frames, in the order of keys of the recorded ones. Shapes: ws recordings of 2026."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from streaming.sandbox.formatting import PairDecimals, format_microseconds, format_nanoseconds, json_fixed
from streaming.sandbox.model import Bar, BookLevel, DaySummary, Print
from trading.market import Pair

SNAPSHOT = "snapshot"
UPDATE = "update"
HEARTBEAT = b'{"channel":"heartbeat"}'
VERSION = "2.0.10"  # of the recorded frames

_HUNDRED = Decimal(100)
encode = msgspec.json.Encoder().encode


def channel_frame(channel: str, kind: str, data: Any) -> bytes:
    return encode({"channel": channel, "type": kind, "data": data})


def status_frame(system: str, connection: int) -> bytes:
    return channel_frame(
        "status",
        UPDATE,
        [
            {
                "version": VERSION,
                "system": system,
                "api_version": "v2",
                "connection_id": connection,
                "upcoming_maintenance": [],
                "emergency": [],
            }
        ],
    )


def trades_frame(kind: str, decimals: PairDecimals, prints: Iterable[Print]) -> bytes:
    return channel_frame("trade", kind, [_trade(decimals, printed) for printed in prints])


def ticker_frame(kind: str, pair: Pair, decimals: PairDecimals, summary: DaySummary, at: datetime) -> bytes:
    """Encode a ticker; sides without a level are zero. `change` counts from the price of 24 hours ago."""
    change = (summary.last or Decimal(0)) - summary.open
    share = change / summary.open * _HUNDRED if summary.open else Decimal(0)
    return channel_frame(
        "ticker",
        kind,
        [
            {
                "symbol": str(pair),
                **_best("bid", decimals, summary.bid),
                **_best("ask", decimals, summary.ask),
                "last": decimals.json_price(summary.last or Decimal(0)),
                "volume": decimals.json_quantity(summary.volume),
                "vwap": decimals.json_price(summary.vwap),
                "low": decimals.json_price(summary.low),
                "high": decimals.json_price(summary.high),
                "change": decimals.json_price(change),
                "change_pct": json_fixed(share, 2),
                "trades": summary.trades,
                "timestamp": format_microseconds(at),
            }
        ],
    )


def candles_frame(
    kind: str, pair: Pair, decimals: PairDecimals, interval: int, bars: Sequence[Bar], at: datetime
) -> bytes:
    """Encode candles; `interval` in minutes; the deprecated `timestamp` of a candle is its end."""
    return encode(
        {
            "channel": "ohlc",
            "type": kind,
            "timestamp": format_nanoseconds(at),
            "data": [_candle(pair, decimals, interval, bar) for bar in bars],
        }
    )


def _trade(decimals: PairDecimals, printed: Print) -> dict[str, Any]:
    return {
        "symbol": str(printed.pair),
        "side": printed.side.value,
        "price": decimals.json_price(printed.price),
        "qty": decimals.json_quantity(printed.quantity),
        "ord_type": printed.order_type,
        "trade_id": printed.trade_id,
        "timestamp": format_microseconds(printed.at),
    }


def _best(name: str, decimals: PairDecimals, level: BookLevel | None) -> dict[str, Any]:
    price, quantity = (level.price, level.quantity) if level else (Decimal(0), Decimal(0))
    return {name: decimals.json_price(price), f"{name}_qty": decimals.json_quantity(quantity)}


def _candle(pair: Pair, decimals: PairDecimals, interval: int, bar: Bar) -> dict[str, Any]:
    return {
        "symbol": str(pair),
        "open": decimals.json_price(bar.open),
        "high": decimals.json_price(bar.high),
        "low": decimals.json_price(bar.low),
        "close": decimals.json_price(bar.close),
        "trades": bar.trades,
        "volume": decimals.json_quantity(bar.volume),
        "vwap": decimals.json_price(bar.vwap),
        "interval_begin": format_nanoseconds(bar.open_time),
        "interval": interval,
        "timestamp": format_microseconds(bar.open_time + timedelta(minutes=interval)),
    }
