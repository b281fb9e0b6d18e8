"""Compiled measures that follow the clock: the UTC day, higher timeframes, and SAR in blocks of candle lengths.

Times are microseconds since 1970 UTC; candles ascend.
"""

import numpy as np
import numpy.typing as npt

from trading.indicators.compiled import compiled

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@compiled
def average_price_of_period(opens: Times, typical: Array, volume: Array, close: Array, period: int) -> Array:
    """Volume-weighted average since the period began, the close where none was traded since."""
    result = np.empty(close.size)
    end, value, traded = opens[0] if opens.size else 0, 0.0, 0.0
    for row in range(close.size):
        if opens[row] >= end:
            end, value, traded = opens[row] - opens[row] % period + period, 0.0, 0.0
        value += typical[row] * volume[row]
        traded += volume[row]
        result[row] = value / traded if traded > 0 else close[row]
    return result


@compiled
def trends_of_closed(
    opens: Times, closes: Times, close: Array, periods: Times, length: int, total: Array
) -> Array:
    """Signed efficiency ratios over `length` changes between closed higher candles, each added to `total`.

    Returns those of the first two `periods`, (2, n) or fewer rows. NaN until there are `length` + 1 closed
    candles; a row knows those that end with it or before.
    """
    shown = np.empty((min(periods.size, 2), close.size))
    for rung in range(periods.size):
        period = periods[rung]
        # Closes of the higher candles that have ended; in the time from first to last there are no more.
        ended = np.empty(min(close.size, (closes[-1] - opens[0]) // period + 2))
        count, newest, end, pending = 0, np.nan, opens[0], False
        for row in range(close.size):
            if opens[row] >= end:
                if pending:
                    # Its last base candles are missing, so nothing ended with it: its end has passed now.
                    ended[count] = close[row - 1]
                    count += 1
                    newest = _efficiency(ended[:count], length)
                end, pending = opens[row] - opens[row] % period + period, True
            if pending and closes[row] >= end:
                ended[count] = close[row]
                count += 1
                newest = _efficiency(ended[:count], length)
                pending = False
            total[row] += newest
            if rung < 2:
                shown[rung, row] = newest
    return shown


@compiled
def _efficiency(values: Array, length: int) -> float:
    """Of the last `length` changes; 0 where there were none, NaN where there are fewer values."""
    if values.size <= length:
        return np.nan
    recent = values[values.size - length - 1 :]
    path = 0.0
    for step in range(length):
        path += abs(recent[step + 1] - recent[step])
    return (recent[length] - recent[0]) / path if path > 0 else 0.0


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
