"""The first candle that cannot be, found in one pass."""

import numpy as np
import numpy.typing as npt

from trading.indicators.compiled import compiled

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

# Numbers beyond this are nobody's prices or volumes; within it no sum or square of a window overflows.
LARGEST = 1e30

FAULTS = (
    "does not come after the one before: sort the candles and drop repeats",
    "has a missing or impossible number: prices must be above zero, volume not below it, neither beyond 1e±30",
    "has prices that contradict each other: close must lie between low and high",
    "is no {timeframe} candle: close_time must lie one {timeframe} after open_time",
)


@compiled
def first_fault(
    opens: Times,
    closes: Times,
    high: Array,
    low: Array,
    close: Array,
    volume: Array,
    duration: int,
) -> tuple[int, int]:
    """(row, index into FAULTS) of the first wrong candle, (-1, 0) when there is none."""
    for row in range(opens.size):
        if row and opens[row] <= opens[row - 1]:
            return row, 0
        # Written so that NaN, which fails every comparison, fails these too.
        if not (
            1 / LARGEST <= low[row] <= LARGEST
            and 1 / LARGEST <= high[row] <= LARGEST
            and 1 / LARGEST <= close[row] <= LARGEST
            and 0 <= volume[row] <= LARGEST
        ):
            return row, 1
        if not low[row] <= close[row] <= high[row]:
            return row, 2
        if closes[row] - opens[row] != duration:
            return row, 3
    return -1, 0
