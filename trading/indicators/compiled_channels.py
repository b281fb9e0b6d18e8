"""Compiled places in a channel, and how channels lie in each other: one row at a time, from averages of before.

A width that does not exceed `rounding` of the price is none.
"""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]


@compiled
def bands(
    close: Array, middle: Array, deviation: Array, half_channel: Array, rounding: float
) -> tuple[Array, Array, Array]:
    """(width / middle, place in 0..1, half width / half channel) of bands two deviations to either side.

    0.5 is the place where there is no width, 1 the last where there is no channel, or not yet.
    """
    share, place, squeeze = np.empty(close.size), np.empty(close.size), np.empty(close.size)
    for row in range(close.size):
        tick, half_width = rounding * close[row], 2 * deviation[row]
        width = 2 * half_width
        share[row] = width / middle[row]
        inside = 0.5 + (close[row] - middle[row]) / width
        place[row] = inside if width > tick else 0.5
        beside = half_width / half_channel[row]
        squeeze[row] = beside if half_channel[row] > tick else 1.0
    return share, place, squeeze


@compiled
def release(squeeze: Array, lowest: Array, close: Array, middle: Array, rounding: float) -> Array:
    """squeeze - lowest where it is 1 or more and was below, with the sign of close - middle; else 0."""
    result = np.empty(close.size)
    for row in range(close.size):
        above = close[row] - middle[row]
        released = (squeeze[row] >= 1) & (lowest[row] < 1) & (abs(above) > rounding * close[row])
        risen = squeeze[row] - lowest[row]
        result[row] = (risen if above > 0 else -risen) if released else 0.0
    return result


@compiled
def channel_index(
    price: Array, middle: Array, distance: Array, highest: Array, lowest: Array, rounding: float
) -> Array:
    """(price - middle) / 1.5 mean distances; 0 where the window is one price."""
    result = np.empty(price.size)
    for row in range(price.size):
        moves = highest[row] - lowest[row] > rounding * highest[row]
        index = (price[row] - middle[row]) / (1.5 * distance[row])
        result[row] = index if moves else 0.0
    return result


@compiled
def williams(percent: Array, highest: Array, lowest: Array, rounding: float) -> Array:
    """Williams %R / 100; -0.5 where the window is one price."""
    result = np.empty(percent.size)
    for row in range(percent.size):
        still = highest[row] - lowest[row] <= rounding * highest[row]
        result[row] = -0.5 if still else percent[row] / 100
    return result


@compiled
def distance_in_channels(close: Array, average: Array, half_channel: Array, rounding: float) -> Array:
    """(close - average) / half channel; 0 where there is no channel."""
    result = np.empty(close.size)
    for row in range(close.size):
        distance = (close[row] - average[row]) / half_channel[row]
        result[row] = distance if half_channel[row] > rounding * close[row] else 0.0
    return result
