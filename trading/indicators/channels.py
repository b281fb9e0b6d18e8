"""Compiled places in Bollinger's bands and Keltner's channel, and how the two lie in each other, row by row.

A width that does not exceed `rounding` of the price is none.
"""

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import Array


@compiled
def bollinger(
    close: Array, middle: Array, deviation: Array, half_channel: Array, rounding: float
) -> tuple[Array, Array, Array]:
    """Return (width / middle, place in 0..1, half width / half channel) of bands two deviations to either side.

    0.5 is the place where there is no width, 1 the last where there is no channel, or not yet.
    """
    share, place, squeeze = np.empty(close.size), np.empty(close.size), np.empty(close.size)
    for row in range(close.size):
        tick, half_width = rounding * close[row], 2 * deviation[row]
        width = 2 * half_width
        share[row] = width / middle[row]
        inside = 0.5 + (close[row] - middle[row]) / width
        place[row] = inside if width > tick else 0.5
        ratio = half_width / half_channel[row]
        squeeze[row] = ratio if half_channel[row] > tick else 1.0
    return share, place, squeeze


@compiled
def squeeze_release(squeeze: Array, lowest: Array, close: Array, middle: Array, rounding: float) -> Array:
    """Return squeeze - lowest where it is 1 or more and was below, with the sign of close - middle; else 0."""
    result = np.empty(close.size)
    for row in range(close.size):
        above = close[row] - middle[row]
        released = (squeeze[row] >= 1) & (lowest[row] < 1) & (abs(above) > rounding * close[row])
        risen = squeeze[row] - lowest[row]
        result[row] = (risen if above > 0 else -risen) if released else 0.0
    return result


@compiled
def keltner_position(close: Array, average: Array, half_channel: Array, rounding: float) -> Array:
    """Return (close - average) / half channel; 0 where there is no channel."""
    result = np.empty(close.size)
    for row in range(close.size):
        position = (close[row] - average[row]) / half_channel[row]
        result[row] = position if half_channel[row] > rounding * close[row] else 0.0
    return result
