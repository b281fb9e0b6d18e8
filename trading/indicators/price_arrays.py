"""Closed candles as arrays: checked once, then read by every formula."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.errors import InvalidCandles
from trading.market import Timeframe

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

NUMBERS = ("high", "low", "close", "volume")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Arrays (n,) of checked candles, ascending; times are microseconds since 1970 UTC.

    Prices are near 1, far from what TA-Lib takes for zero: they are scaled by a power of two, which changes no
    digit. `scale` leads back: price = scaled / scale.
    """

    timeframe: Timeframe
    open_time: Times
    close_time: Times
    high: Array
    low: Array
    close: Array
    volume: Array
    scale: float

    @property
    def size(self) -> int:
        return self.close.size

    @property
    def typical(self) -> Array:
        return (self.high + self.low + self.close) / 3

    def last(self, count: int) -> "Bars":
        """The newest candles; the arrays are views."""
        return self.between(max(self.size - count, 0), self.size)

    def between(self, start: int, end: int) -> "Bars":
        """The candles of rows start to end, exclusive; the arrays are views."""
        rows = slice(start, end)
        return Bars(
            self.timeframe,
            self.open_time[rows],
            self.close_time[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
            self.scale,
        )


def bars_of(candles: pl.DataFrame, timeframe: Timeframe) -> Bars:
    """Arrays of a table with CANDLE_SCHEMA. InvalidCandles names the first open time that is out of order, is not
    of this timeframe, or has an impossible number.
    """
    opens, closes = microseconds(candles, "open_time"), microseconds(candles, "close_time")
    high, low, close, volume = (_number(candles, name) for name in NUMBERS)
    _refuse_faults(Bars(timeframe, opens, closes, high, low, close, volume, 1.0))
    scale = 2.0 ** -round(math.log2(close[0])) if close.size else 1.0
    return Bars(timeframe, opens, closes, high * scale, low * scale, close * scale, volume, scale)


@cache
def length_of(timeframe: Timeframe) -> int:
    """Of one candle, in microseconds."""
    return timeframe.duration // timedelta(microseconds=1)


def microseconds(candles: pl.DataFrame, name: str) -> Times:
    column = candles[name]
    if missing := column.null_count():
        raise InvalidCandles(f"{missing} of {candles.height} candles have no {name}: drop them")
    return column.to_numpy().astype("datetime64[us]", copy=False).view(np.int64)


def _number(candles: pl.DataFrame, name: str) -> Array:
    """Null becomes NaN, which is refused by its time."""
    return np.ascontiguousarray(candles[name].to_numpy(), dtype=np.float64)


def _refuse_faults(bars: Bars) -> None:
    from trading.indicators.compiled_checks import FAULTS, first_fault  # compiled: only who computes waits

    row, fault = first_fault(
        bars.open_time,
        bars.close_time,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        length_of(bars.timeframe),
    )
    if row >= 0:
        raise InvalidCandles(
            f"the candle of {_EPOCH + timedelta(microseconds=int(bars.open_time[row]))} "
            + FAULTS[fault].format(timeframe=bars.timeframe.value)
        )
