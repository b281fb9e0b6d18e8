"""Wilder's parabolic SAR in blocks of candle lengths, compiled.

A SAR remembers how the trends before it began, without bound; blocks bound that. TA-Lib's SAR also lets rounding
decide whether a price on a coarse grid has touched it.
"""

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import Array, Times


@compiled
def parabolic_sar(
    opens: Times, high: Array, low: Array, block: int, step: float, maximum: float, rounding: float
) -> Array:
    """Return the SAR, started afresh for each block at the first candle of the block before it.

    `block` is in microseconds, counted since 1970 UTC; blocks without candles are left out. NaN in the first row. A
    price that meets the SAR to within `rounding` has touched it.
    """
    result = np.full(high.size, np.nan)
    before, start = 0, 0
    while start < high.size:
        limit = opens[start] - opens[start] % block + block
        end = start
        while end < high.size and opens[end] < limit:
            end += 1
        _walk(high[before:end], low[before:end], result[before:end], start - before, step, maximum, rounding)
        before, start = start, end
    return result


@compiled
def _walk(
    high: Array, low: Array, result: Array, first: int, step: float, maximum: float, rounding: float
) -> None:
    """Follow the algorithm of TA-Lib's SAR from the first candle on; write the rows from `first` on."""
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
                    extreme, factor = high[row], min(factor + step, maximum)
                stop = min(stop + factor * (extreme - stop), low[last], low[row])
        elif high[row] >= stop * (1 - rounding):
            long, factor = True, step
            stop = min(extreme, low[last], low[row])
            shown, extreme = stop, high[row]
            stop = min(stop + factor * (extreme - stop), low[last], low[row])
        else:
            shown = stop
            if low[row] < extreme:
                extreme, factor = low[row], min(factor + step, maximum)
            stop = max(stop + factor * (extreme - stop), high[last], high[row])
        if row >= first:
            result[row] = shown
