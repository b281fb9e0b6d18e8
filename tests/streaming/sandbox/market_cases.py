"""Instruments, candle sources and trades for the tests of the sandbox's market."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from streaming.sandbox.market.source import Tick
from streaming.sandbox.market.tape import TradeTape
from trading.candles import closed_by, complete, first_quote, opening_between
from trading.market import CANDLE_SCHEMA, Instrument, Pair, Timeframe
from trading.orders import Side
from trading.ports import Quote

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "BTC")
START = datetime(2024, 1, 4, tzinfo=UTC)  # a Thursday: a week of the tape begins
SHARED = Path(__file__).parents[3] / "../shared/data"
recorded = pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not here")


def instrument(pair: Pair = BTC, price: str = "0.1", quantity: str = "0.00000001") -> Instrument:
    fees = Decimal("0.0026"), Decimal("0.0016")
    return Instrument(pair, Decimal(price), Decimal(quantity), Decimal("0.0001"), Decimal("0.5"), *fees)


def tick(seconds: float, price: str, quantity: str = "1", pair: Pair = BTC) -> Tick:
    at = START + timedelta(seconds=seconds)
    return Tick(pair, at, Decimal(price), Decimal(quantity), Side.BUY, "market")


def printed(tape: TradeTape, ticks: Iterable[Tick]) -> None:
    for each in ticks:
        tape.add(each.at, each.price, each.quantity, each.side, each.order_type)


def candles(
    rows: Sequence[tuple[float, float, float, float, float]], timeframe: Timeframe, start: datetime = START
) -> pl.DataFrame:
    """Rows of open, high, low, close and volume, one candle after the other."""
    opens = [start + number * timeframe.duration for number in range(len(rows))]
    columns = zip(*rows, strict=True) if rows else [()] * 5
    named = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    frame = pl.DataFrame({"open_time": opens, **named}, schema_overrides=dict(CANDLE_SCHEMA.items()))
    return complete(frame, timeframe, "test")


class Tables:
    """A CandleSource over tables; remembers how many candles it gave out."""

    origin = "test"

    def __init__(self, tables: dict[Pair, pl.DataFrame], until: datetime | None = None) -> None:
        self._tables = tables
        self._until = until
        self.given = 0

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        raise AssertionError("a market without an end has no span")

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        found = closed_by(opening_between(self._tables[pair], start, end), self._until)
        self.given += found.height
        return found

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return first_quote(self._tables[pair], time)
