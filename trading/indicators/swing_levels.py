"""The compiled walk over confirmed swings and the price levels that they leave."""

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import Array, Flags


@compiled
def swing_levels(
    high: Array,
    low: Array,
    close: Array,
    peaks: Flags,
    troughs: Flags,
    highest: Array,
    lowest: Array,
    wing: int,
    length: int,
) -> tuple[Array, Array, Array, Array]:
    """Return how far (newest swing high, newest swing low, support, resistance) of the last `length` candles lie.

    As shares of the close: the highs above it, the lows below it. `peaks` and `troughs` say which candles are swings;
    they count from `wing` candles later on, and only with the `wing` candles before them among the `length`. Support
    is the highest swing of either kind at or below the close, resistance the lowest at or above it. Where there is
    none, `highest` and `lowest` of the row stand in.
    """
    swing_high, swing_low, support, resistance = np.empty((4, close.size))
    swing_row, swing_price = np.empty(2 * close.size, np.int64), np.empty(2 * close.size)
    ordered = np.empty(2 * length)  # prices of the swings that are within reach, ascending
    oldest, count, reachable, place = 0, 0, 0, 0
    top, top_row, bottom, bottom_row = np.nan, -1, np.nan, -1
    for row in range(close.size):
        earliest = max(row - length + 1 + wing, 0)
        while oldest < count and swing_row[oldest] < earliest:
            reachable = _remove(ordered, reachable, swing_price[oldest])
            oldest += 1
        middle = row - wing
        if middle >= 0 and peaks[middle]:
            top, top_row = high[middle], middle
            swing_row[count], swing_price[count] = middle, top
            count, reachable = count + 1, _insert(ordered, reachable, top)
        if middle >= 0 and troughs[middle]:
            bottom, bottom_row = low[middle], middle
            swing_row[count], swing_price[count] = middle, bottom
            count, reachable = count + 1, _insert(ordered, reachable, bottom)
        swing_high[row] = (top if top_row >= earliest else highest[row]) / close[row] - 1
        swing_low[row] = 1 - (bottom if bottom_row >= earliest else lowest[row]) / close[row]
        # The close moves little from row to row, so the levels around it are found by a few steps from the last.
        place = min(place, reachable)
        while place < reachable and ordered[place] < close[row]:
            place += 1
        while place > 0 and ordered[place - 1] >= close[row]:
            place -= 1
        resistance[row] = (ordered[place] if place < reachable else highest[row]) / close[row] - 1
        if place < reachable and ordered[place] == close[row]:
            support[row] = 0.0
        else:
            support[row] = 1 - (ordered[place - 1] if place > 0 else lowest[row]) / close[row]
    return swing_high, swing_low, support, resistance


@compiled
def _insert(ordered: Array, count: int, price: float) -> int:
    """Insert a price among the first `count`; return how many there are now."""
    place = count
    while place > 0 and ordered[place - 1] > price:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = price
    return count + 1


@compiled
def _remove(ordered: Array, count: int, price: float) -> int:
    """Remove a price from the first `count`; return how many there are now."""
    place = np.searchsorted(ordered[:count], price)
    for later in range(place, count - 1):
        ordered[later] = ordered[later + 1]
    return count - 1
