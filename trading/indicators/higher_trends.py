"""Compiled trends of closed higher candles: for every row, and for the newest alone.

Times are microseconds since 1970 UTC; candles ascend and are equally long. TA-Lib's ER keeps a running sum: a price
that has left the window stays in its last digits.
"""

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import Array, Times

_BLOCK = 1024


@compiled
def efficiency_ratio(close: Array, length: int) -> Array:
    """Return the signed efficiency ratio of each row's last `length` changes, 0 where none moved; NaN before."""
    result = np.full(close.size, np.nan)
    for start in range(length, close.size, _BLOCK):
        lanes = min(_BLOCK, close.size - start)
        path = result[start : start + lanes]
        path[:] = 0.0
        for step in range(length):
            before, after = close[start - length + step :], close[start - length + step + 1 :]
            for lane in range(lanes):
                path[lane] += abs(after[lane] - before[lane])
        oldest, newest = close[start - length :], close[start:]
        for lane in range(lanes):
            ratio = (newest[lane] - oldest[lane]) / path[lane]
            path[lane] = ratio if path[lane] > 0 else 0.0
    return result


@compiled
def higher_trends(
    opens: Times, closes: Times, close: Array, periods: Times, length: int, total: Array
) -> Array:
    """Return signed efficiency ratios over `length` changes between closed higher candles; add each to `total`.

    Those of the first two `periods` are returned, (2, n) or fewer rows. NaN until there are `length` + 1 closed
    candles; a row knows those that end with it or before.
    """
    shown = np.empty((min(periods.size, 2), close.size))
    trend = np.empty(close.size)
    for rung in range(periods.size):
        values = shown[rung] if rung < 2 else trend
        _walk_rung(opens, closes, close, periods[rung], length, values, total)
    return shown


@compiled
def _walk_rung(
    opens: Times, closes: Times, close: Array, period: int, length: int, trend: Array, total: Array
) -> None:
    """Go from higher candle to higher candle, and within one from row to row."""
    if not close.size:
        return
    # Closes of the higher candles that have ended; in the time from first to last there are no more.
    ended = np.empty(min(close.size, (closes[-1] - opens[0]) // period + 2))
    count, newest, row = 0, np.nan, 0
    while row < close.size:
        end = opens[row] - opens[row] % period + period
        while row < close.size and closes[row] < end:
            trend[row] = newest
            total[row] += newest
            row += 1
        if row == close.size:
            return
        # Where its last base candles are missing, nothing ended with it: its end has passed by the next row.
        with_it = opens[row] < end
        ended[count] = close[row if with_it else row - 1]
        count += 1
        newest = _newest_efficiency(ended[:count], length)
        while row < close.size and opens[row] < end:
            trend[row] = newest
            total[row] += newest
            row += 1


@compiled
def newest_higher_trends(opens: Times, closes: Times, close: Array, periods: Times, length: int) -> Array:
    """Return (periods,) of `higher_trends` for the last row, going back from higher candle to higher candle."""
    result, ended = np.empty(periods.size), np.empty(length + 1)
    for rung in range(periods.size):
        last, missing = close.size - 1, length + 1
        if closes[last] < opens[last] - opens[last] % periods[rung] + periods[rung]:
            last = _end_of_candle_before(opens, last, periods[rung])
        while last >= 0 and missing:
            begin, before = opens[last] - opens[last] % periods[rung], last
            while before and opens[before - 1] >= begin and closes[before - 1] >= begin + periods[rung]:
                before -= 1
            missing -= 1
            ended[missing] = close[before]
            last = _end_of_candle_before(opens, last, periods[rung])
        result[rung] = _newest_efficiency(ended[missing:], length)
    return result


@compiled
def _end_of_candle_before(opens: Times, row: int, period: int) -> int:
    """Return the last row before the higher candle of `row`, -1 where there is none."""
    begin = opens[row] - opens[row] % period
    before: int = np.searchsorted(opens[:row], begin) - 1
    return before


@compiled
def _newest_efficiency(values: Array, length: int) -> float:
    """Return that of the last `length` changes; 0 where none moved, NaN where there are fewer values."""
    if values.size <= length:
        return np.nan
    recent = values[values.size - length - 1 :]
    path = 0.0
    for step in range(length):
        path += abs(recent[step + 1] - recent[step])
    return (recent[length] - recent[0]) / path if path > 0 else 0.0
