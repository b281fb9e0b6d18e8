"""Compiled steps from one candle to the next, each in one pass. A move below `rounding` of the price is none."""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]


@compiled
def directional_moves(high: Array, low: Array, close: Array, rounding: float) -> tuple[Array, Array]:
    """Wilder's +DM and -DM of each candle: how far it reached beyond the one before, on the side it did more.

    NaN in the first row.
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
    """Wilder's +DI, -DI and the index of them both, from averages of true range and moves; 0..1 each.

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


@compiled
def strength(close: Array, percent: Array, length: int) -> Array:
    """RSI / 100; 0.5 where the last `length` changes were zero, or all since the start."""
    result = np.empty(close.size)
    still = length
    for row in range(close.size):
        moved = row > 0 and close[row] != close[row - 1]
        still = 0 if moved else still + 1
        result[row] = 0.5 if still >= length else percent[row] / 100
    return result


@compiled
def money_flows(typical: Array, volume: Array, rounding: float) -> tuple[Array, Array]:
    """typical price x volume of each candle whose typical price rose, and of each whose rose or fell; else 0."""
    rising, moving = np.zeros(typical.size), np.zeros(typical.size)
    for row in range(1, typical.size):
        flow, tick = typical[row] * volume[row], rounding * typical[row]
        change = typical[row] - typical[row - 1]
        rising[row] = flow if change > tick else 0.0
        moving[row] = flow if abs(change) > tick else 0.0
    return rising, moving


@compiled
def accumulation(high: Array, low: Array, close: Array, volume: Array) -> Array:
    """Volume of each candle x where it closed in its range, -1 (low) .. 1 (high); 0 without a range."""
    flow = np.empty(close.size)
    for row in range(close.size):
        span = high[row] - low[row]
        place = (2 * close[row] - high[row] - low[row]) / span
        flow[row] = place * volume[row] if span > 0 else 0.0
    return flow


@compiled
def signed_volume(close: Array, volume: Array) -> Array:
    """What each candle adds to on-balance volume; 0 in the first row."""
    signed = np.zeros(close.size)
    for row in range(1, close.size):
        change = close[row] - close[row - 1]
        signed[row] = volume[row] * ((change > 0) - (change < 0))
    return signed
