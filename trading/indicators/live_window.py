"""The newest closed candles of one pair and timeframe, kept as arrays, so that a new candle costs one row and no table.

What is computed from them is bit for bit what `live_row` computes from a table of the same candles: the same formulas
read the same numbers, of the last `lookback` + 1 candles.
"""

import math
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from trading.closed_candles import ClosedCandle
from trading.errors import InvalidCandles
from trading.indicators.arithmetic import Array, Times
from trading.indicators.companions import STALE_AFTER
from trading.indicators.price_arrays import MAX_NUMBER, PriceArrays, price_arrays
from trading.indicators.registry import lookback, slowest
from trading.market import EPOCH, TIME, Timeframe

# Rows before the newest that can be computed again when a candle is restated or comes late.
SPARE, LEAST_SPARE = timedelta(days=3), 16
_HIGH, _LOW, _CLOSE, _VOLUME = range(4)
_MICROSECOND = timedelta(microseconds=1)


def window_rows(timeframe: Timeframe) -> int:
    """Return how many candles a window keeps."""
    return lookback(timeframe) + 1 + max(SPARE // timeframe.duration, LEAST_SPARE)


class LiveWindow:
    """Candles with a trade in order of time, each in the newest revision that came; the oldest ones are dropped."""

    def __init__(self, timeframe: Timeframe, candles: pl.DataFrame) -> None:
        """`candles` has the columns of CANDLE_SCHEMA, sorted; InvalidCandles names the first impossible one."""
        self.timeframe = timeframe
        self.lookback = lookback(timeframe)
        self._duration = timeframe.duration // _MICROSECOND
        self._rows = window_rows(timeframe)
        self._first, self._end = 0, 0
        self._is_cut = candles.height > self._rows
        self._numbers = np.empty((4, 2 * self._rows))  # prices are scaled, see PriceArrays
        self._opens, self._known = np.empty((2, 2 * self._rows), dtype=np.int64)
        self._scale = 1.0
        self._fill(candles.tail(self._rows))

    def _fill(self, candles: pl.DataFrame) -> None:
        prices = price_arrays(candles, self.timeframe)
        size = self._end = prices.size
        self._scale = prices.scale
        self._numbers[:, :size] = prices.high, prices.low, prices.close, prices.volume
        self._opens[:size] = prices.open_time
        self._known[:size] = candles["known_at"].dt.epoch("us").to_numpy()

    @property
    def size(self) -> int:
        return self._end - self._first

    @property
    def missing(self) -> int:
        """Return how many candles are still missing before the newest row is known; 0: none."""
        return max(slowest(self.timeframe).warm_up_for(self.timeframe) + 1 - self.size, 0)

    @property
    def newest_close(self) -> datetime | None:
        return self._close_at(self._end - 1) if self.size else None

    def put(self, candle: ClosedCandle) -> bool:
        """Take a revision; False where it says nothing new: it is stored, older than what is, or older than the window.

        A candle without a trade is no row, and takes away one that is there. InvalidCandles for an impossible number.
        """
        opened, known = _microseconds(candle.open_time), _microseconds(candle.known_at)
        place = self._place(opened)
        there = place < self._end and self._opens[place] == opened
        if there and known < self._known[place]:
            return False
        if candle.trades == 0:
            return there and self._remove(place)
        values = self._values(candle)
        if there:
            if np.array_equal(self._numbers[:, place], values):
                return False
        elif self.size and place == self._first and (self._is_cut or self.size == self._rows):
            return False
        else:
            place = self._insert(place)
        self._numbers[:, place], self._opens[place], self._known[place] = values, opened, known
        return True

    def closes_since(self, close: datetime, count: int | None = None) -> list[datetime]:
        """Return the close times of the rows from `close` on that can be computed, oldest first, at most `count`."""
        first = max(self._place(_microseconds(close) - self._duration), self._earliest)
        last = self._end if count is None else min(first + count, self._end)
        return [self._close_at(row) for row in range(first, last)]

    def prices(self, close: datetime) -> PriceArrays | None:
        """Return the `lookback` + 1 candles up to the one that closed then, or all where there are fewer.

        None where that candle is not there, and where so few came before it that its features are not known.
        """
        row = self._row(close)
        if row is None or row < self._earliest:
            return None
        first = max(row - self.lookback, self._first)
        self._rescale(self._numbers[_CLOSE, first])
        rows = slice(first, row + 1)
        opens, numbers = self._opens[rows], self._numbers[:, rows]
        return PriceArrays(
            timeframe=self.timeframe,
            open_time=opens,
            close_time=opens + self._duration,
            high=numbers[_HIGH],
            low=numbers[_LOW],
            close=numbers[_CLOSE],
            volume=numbers[_VOLUME],
            scale=self._scale,
        )

    def known_at(self, close: datetime) -> Times:
        """Return when each of the candles that `prices` gives became known, in microseconds since 1970 UTC."""
        row = self._row(close)
        assert row is not None
        return self._known[max(row - self.lookback, self._first) : row + 1]

    def companion(self, since: int, until: int) -> pl.DataFrame:
        """Return the candles with since < close time <= until (microseconds): open and close time, close, known_at."""
        first, end = (self._place(time - self._duration + 1) for time in (since, until))
        opens = self._opens[first:end]
        return pl.DataFrame(
            {
                "open_time": pl.Series(opens).cast(TIME),
                "close_time": pl.Series(opens + self._duration).cast(TIME),
                "close": self._numbers[_CLOSE, first:end] / self._scale,
                "known_at": pl.Series(self._known[first:end]).cast(TIME),
            }
        )

    def known_as_companion(self, prices: PriceArrays, above: int) -> int:
        """Return the latest `known_at` of the candles that the rows of `prices` see here; `above` where none is later.

        A row sees the newest candle that had closed by its own close, unless that is stale.
        """
        stale = STALE_AFTER * self._duration
        first = self._place(int(prices.close_time[0]) - stale - self._duration)
        end = self._place(int(prices.close_time[-1]) - self._duration + 1)
        known = self._known[first:end]
        if not known.size or known.max() <= above:
            return above
        closes = self._opens[first:end] + self._duration
        if known[-1] == known.max() and prices.close_time[-1] - closes[-1] <= stale:
            return int(known[-1])
        row = np.searchsorted(closes, prices.close_time, side="right") - 1
        seen = (row >= 0) & (prices.close_time - closes[np.maximum(row, 0)] <= stale)
        return max(above, int(known[row[seen]].max(initial=above)))

    @property
    def _earliest(self) -> int:
        """The first row whose features are known as the batch knows them."""
        before = self.lookback if self._is_cut else slowest(self.timeframe).warm_up_for(self.timeframe)
        return self._first + before

    def _place(self, opened: int) -> int:
        """Return the first row that does not open before `opened`."""
        if self._end > self._first and self._opens[self._end - 1] < opened:
            return self._end
        return self._first + int(np.searchsorted(self._opens[self._first : self._end], opened))

    def _row(self, close: datetime) -> int | None:
        opened = _microseconds(close) - self._duration
        row = self._place(opened)
        return row if row < self._end and self._opens[row] == opened else None

    def _close_at(self, row: int) -> datetime:
        return EPOCH + (int(self._opens[row]) + self._duration) * _MICROSECOND

    def _values(self, candle: ClosedCandle) -> Array:
        numbers = candle.high, candle.low, candle.close, candle.volume
        within = all(1 / MAX_NUMBER <= price <= MAX_NUMBER for price in numbers[:_VOLUME])
        ordered = candle.low <= candle.close <= candle.high
        if not (within and ordered and 0 <= candle.volume <= MAX_NUMBER):
            raise InvalidCandles(
                f"{candle.pair} {candle.timeframe.value}: the candle of {candle.open_time} has an impossible number: "
                f"high {candle.high}, low {candle.low}, close {candle.close}, volume {candle.volume}"
            )
        values = np.array(numbers)
        values[:_VOLUME] *= self._scale
        return values

    def _insert(self, place: int) -> int:
        """Make room before a row and return where; the oldest row goes where the window is full."""
        if self.size == self._rows:
            self._first += 1
            self._is_cut = True
        if self._end == self._opens.size:
            place -= self._first
            self._move_to_front()
        for array in (self._numbers, self._opens, self._known):
            array[..., place + 1 : self._end + 1] = array[..., place : self._end].copy()
        self._end += 1
        return place

    def _move_to_front(self) -> None:
        size = self.size
        for array in (self._numbers, self._opens, self._known):
            array[..., :size] = array[..., self._first : self._end].copy()
        self._first, self._end = 0, size

    def _remove(self, row: int) -> bool:
        for array in (self._numbers, self._opens, self._known):
            array[..., row : self._end - 1] = array[..., row + 1 : self._end].copy()
        self._end -= 1
        return True

    def _rescale(self, first_close: float) -> None:
        """Scale as `price_arrays` would for a table that begins with this close; a power of two changes no digit."""
        scale = 2.0 ** -round(math.log2(first_close / self._scale))
        if scale != self._scale:
            self._numbers[:_VOLUME, self._first : self._end] *= scale / self._scale
            self._scale = scale


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // _MICROSECOND
