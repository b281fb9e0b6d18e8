"""Wilder's directional movement, compiled row by row; the averages between the two steps are TA-Lib's.

TA-Lib's ADX lets rounding decide when the high rises by as many ticks as the low falls, common on a coarse price
grid, and keeps its last value while nothing moves.
"""

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import Array


@compiled
def directional_moves(high: Array, low: Array, close: Array, rounding: float) -> tuple[Array, Array]:
    """Return +DM and -DM: how far each candle reached beyond the one before, on the side it did more.

    A move below `rounding` of the price is none. NaN in the first row.
    """
    plus, minus = np.empty(close.size), np.empty(close.size)
    plus[:1], minus[:1] = np.nan, np.nan
    for row in range(1, close.size):
        tick = rounding * close[row]
        up, down = high[row] - high[row - 1], low[row - 1] - low[row]
        plus[row] = up if (up > down + tick) & (up > tick) else 0.0
        minus[row] = down if (down > up + tick) & (down > tick) else 0.0
    return plus, minus


@compiled
def directional_shares(
    true_range: Array, average_range: Array, plus: Array, minus: Array, length: int
) -> tuple[Array, Array, Array]:
    """Return +DI, -DI and the index of them both, from averages of true range and moves; 0..1 each.

    0 while nothing has moved for `length` candles, and an index of no moves is 0.
    """
    up, down, index = np.empty(plus.size), np.empty(plus.size), np.empty(plus.size)
    still = length
    for row in range(plus.size):
        still = 0 if true_range[row] > 0 else still + 1
        moves = (average_range[row] > 0) & (still < length)
        up[row] = plus[row] / average_range[row] if moves else 0.0
        down[row] = minus[row] / average_range[row] if moves else 0.0
        both = up[row] + down[row]
        index[row] = abs(up[row] - down[row]) / both if both > 0 else 0.0
    return up, down, index
