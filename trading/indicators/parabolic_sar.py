"""Compiled measures that follow the clock: the UTC day, and SAR in blocks of candle lengths.

Times are microseconds since 1970 UTC; candles ascend.
"""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@compiled
def distance_of_period(
    opens: Times, high: Array, low: Array, close: Array, volume: Array, period: int
) -> Array:
    """close / volume-weighted average of (high + low + close) / 3 since the period began - 1; 0 without volume."""
    result = np.empty(close.size)
    end, value, traded = opens[0] if opens.size else 0, 0.0, 0.0
    for row in range(close.size):
        if opens[row] >= end:
            end, value, traded = opens[row] - opens[row] % period + period, 0.0, 0.0
        value += (high[row] + low[row] + close[row]) / 3 * volume[row]
        traded += volume[row]
        result[row] = close[row] / (value / traded) - 1 if traded > 0 else 0.0
    return result


@compiled
def parabolic_sar(
    opens: Times, high: Array, low: Array, block: int, step: float, most: float, rounding: float
) -> Array:
    """Wilder's stop and reverse, started afresh for each block at the first candle of the block before it.

    Blocks without candles are left out. NaN in the first row. A price that meets the SAR to within `rounding`
    has touched it.
    """
    result = np.full(high.size, np.nan)
    before, start = 0, 0
    while start < high.size:
        limit = opens[start] - opens[start] % block + block
        end = start
        while end < high.size and opens[end] < limit:
            end += 1
        _walk(high[before:end], low[before:end], result[before:end], start - before, step, most, rounding)
        before, start = start, end
    return result


@compiled
def _walk(
    high: Array, low: Array, result: Array, first: int, step: float, most: float, rounding: float
) -> None:
    """The algorithm of TA-Lib's SAR from the first candle on; kept from row `first` on."""
    if high.size < 2:
        return
    rise, fall = high[1] - high[0], low[0] - low[1]
    tick = rounding * high[1]
    long = not (fall > tick and fall > rise + tick)
    extreme, stop = (high[1], low[0]) if long else (low[1], high[0])
    factor = step
    for row in range(1, high.size):
        last = max(row - 1, 1)
        if long:
            if low[row] <= stop * (1 + rounding):
                long, factor = False, step
                stop = max(extreme, high[last], high[row])
                shown, extreme = stop, low[row]
                stop = max(stop + factor * (extreme - stop), high[last], high[row])
            else:
                shown = stop
                if high[row] > extreme:
                    extreme, factor = high[row], min(factor + step, most)
                stop = min(stop + factor * (extreme - stop), low[last], low[row])
        elif high[row] >= stop * (1 - rounding):
            long, factor = True, step
            stop = min(extreme, low[last], low[row])
            shown, extreme = stop, high[row]
            stop = min(stop + factor * (extreme - stop), low[last], low[row])
        else:
            shown = stop
            if low[row] < extreme:
                extreme, factor = low[row], min(factor + step, most)
            stop = max(stop + factor * (extreme - stop), high[last], high[row])
        if row >= first:
            result[row] = shown
