"""Compiled search for confirmed swings and the price levels that they leave."""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@compiled
def levels(
    high: Array, low: Array, close: Array, highest: Array, lowest: Array, wing: int, length: int
) -> tuple[Array, Array, Array, Array]:
    """How far (newest swing high, newest swing low, support, resistance) of each row's last `length` candles lie.

    As shares of the close: the highs above it, the lows below it.

    A swing high is at least as high as the `wing` candles before it and higher than the `wing` after it, all of
    them among the `length`; a swing low the other way round. Support is the highest swing of either kind at or
    below the close, resistance the lowest at or above it. Where there is none, `highest` and `lowest` of the
    row stand in.
    """
    swing_high, swing_low, support, resistance = np.empty((4, close.size))
    peaks, troughs = _peaks(high, wing, 1.0), _peaks(low, wing, -1.0)
    row_of, price_of = np.empty(2 * close.size, np.int64), np.empty(2 * close.size)
    ordered = np.empty(2 * length)  # prices of the swings that are within reach, ascending
    oldest, count, kept, place = 0, 0, 0, 0
    top, top_row, bottom, bottom_row = np.nan, -1, np.nan, -1
    for row in range(close.size):
        earliest = max(row - length + 1 + wing, 0)
        while oldest < count and row_of[oldest] < earliest:
            kept = _remove(ordered, kept, price_of[oldest])
            oldest += 1
        middle = row - wing
        if middle >= 0 and peaks[middle]:
            top, top_row = high[middle], middle
            row_of[count], price_of[count] = middle, top
            count, kept = count + 1, _insert(ordered, kept, top)
        if middle >= 0 and troughs[middle]:
            bottom, bottom_row = low[middle], middle
            row_of[count], price_of[count] = middle, bottom
            count, kept = count + 1, _insert(ordered, kept, bottom)
        swing_high[row] = (top if top_row >= earliest else highest[row]) / close[row] - 1
        swing_low[row] = 1 - (bottom if bottom_row >= earliest else lowest[row]) / close[row]
        # The close moves little from row to row, so the levels around it are found by a few steps from the last.
        place = min(place, kept)
        while place < kept and ordered[place] < close[row]:
            place += 1
        while place > 0 and ordered[place - 1] >= close[row]:
            place -= 1
        resistance[row] = (ordered[place] if place < kept else highest[row]) / close[row] - 1
        if place < kept and ordered[place] == close[row]:
            support[row] = 0.0
        else:
            support[row] = 1 - (ordered[place - 1] if place > 0 else lowest[row]) / close[row]
    return swing_high, swing_low, support, resistance


@compiled
def _peaks(prices: Array, wing: int, sign: float) -> Flags:
    """Where `sign` x price is at least that of the `wing` candles before and above that of the `wing` after."""
    found = np.zeros(prices.size, np.bool_)
    count = prices.size - 2 * wing
    if count <= 0:
        return found
    inner = found[wing : wing + count]
    inner[:] = True
    middle = prices[wing : wing + count]
    for step in range(1, wing + 1):
        before, after = prices[wing - step : wing - step + count], prices[wing + step : wing + step + count]
        for row in range(count):
            inner[row] &= (sign * middle[row] >= sign * before[row]) & (
                sign * middle[row] > sign * after[row]
            )
    return found


@compiled
def _insert(ordered: Array, kept: int, price: float) -> int:
    place = kept
    while place > 0 and ordered[place - 1] > price:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = price
    return kept + 1


@compiled
def _remove(ordered: Array, kept: int, price: float) -> int:
    place = np.searchsorted(ordered[:kept], price)
    for later in range(place, kept - 1):
        ordered[later] = ordered[later + 1]
    return kept - 1
