"""Closed candles as arrays: checked once, then read by every formula."""

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl

from trading.compiled import compiled
from trading.errors import InvalidCandles
from trading.indicators.arithmetic import Array, Times
from trading.market import EPOCH, Timeframe

NUMBERS = ("high", "low", "close", "volume")
# Numbers beyond this are nobody's prices or volumes; within it no sum or square of a window overflows.
MAX_NUMBER = 1e30
_FAULTS = (
    "does not come after the one before: sort the candles and drop repeats",
    "has a missing or impossible number: prices must be above zero, volume not below it, neither beyond 1e±30",
    "has prices that contradict each other: close must lie between low and high",
    "is no {timeframe} candle: close_time must lie one {timeframe} after open_time",
)


@dataclass(frozen=True, slots=True, eq=False)
class PriceArrays:
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

    def last(self, count: int) -> "PriceArrays":
        """Return the newest candles; the arrays are views."""
        return self.between(max(self.size - count, 0), self.size)

    def between(self, start: int, end: int) -> "PriceArrays":
        """Return the candles of rows start to end, exclusive; the arrays are views."""
        rows = slice(start, end)
        return PriceArrays(
            timeframe=self.timeframe,
            open_time=self.open_time[rows],
            close_time=self.close_time[rows],
            high=self.high[rows],
            low=self.low[rows],
            close=self.close[rows],
            volume=self.volume[rows],
            scale=self.scale,
        )


def price_arrays(candles: pl.DataFrame, timeframe: Timeframe) -> PriceArrays:
    """Return the arrays of a table with CANDLE_SCHEMA.

    InvalidCandles names the first open time that is out of order, is not of this timeframe, or has an impossible
    number.
    """
    opens, closes = microseconds(candles, "open_time"), microseconds(candles, "close_time")
    high, low, close, volume = (_number(candles, name) for name in NUMBERS)
    row, fault = first_fault(opens, closes, high, low, close, volume, candle_length(timeframe))
    if row >= 0:
        time = EPOCH + timedelta(microseconds=int(opens[row]))
        raise InvalidCandles(f"the candle of {time} {_FAULTS[fault].format(timeframe=timeframe.value)}")
    scale = 2.0 ** -round(math.log2(close[0])) if close.size else 1.0
    return PriceArrays(timeframe, opens, closes, high * scale, low * scale, close * scale, volume, scale)


@cache
def candle_length(timeframe: Timeframe) -> int:
    """Return the length of one candle in microseconds."""
    return timeframe.duration // timedelta(microseconds=1)


def microseconds(candles: pl.DataFrame, name: str) -> Times:
    """Return a column of times since 1970 UTC; InvalidCandles when one is missing."""
    column = candles[name]
    if missing := column.null_count():
        raise InvalidCandles(f"{missing} of {candles.height} candles have no {name}: drop them")
    return column.to_numpy().astype("datetime64[us]", copy=False).view(np.int64)


def _number(candles: pl.DataFrame, name: str) -> Array:
    """Null becomes NaN, which is refused by its time."""
    return np.ascontiguousarray(candles[name].to_numpy(), dtype=np.float64)


@compiled
def first_fault(
    opens: Times, closes: Times, high: Array, low: Array, close: Array, volume: Array, duration: int
) -> tuple[int, int]:
    """Return (row, index into _FAULTS) of the first wrong candle, (-1, 0) when there is none."""
    for row in range(opens.size):
        later = row == 0 or opens[row] > opens[row - 1]
        ordered = (low[row] <= close[row]) & (close[row] <= high[row])
        # Comparisons that NaN fails, and ands without a way out, which go faster.
        possible = ((low[row] >= 1 / MAX_NUMBER) & (high[row] <= MAX_NUMBER)) & (
            (volume[row] >= 0) & (volume[row] <= MAX_NUMBER)
        )
        if not (later & ordered & possible & (closes[row] - opens[row] == duration)):
            possible &= (low[row] <= MAX_NUMBER) & (high[row] >= 1 / MAX_NUMBER)
            possible &= (close[row] >= 1 / MAX_NUMBER) & (close[row] <= MAX_NUMBER)
            return row, 0 if not later else 1 if not possible else 2 if not ordered else 3
    return -1, 0
