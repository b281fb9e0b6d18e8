"""The first candle that cannot be, found in one pass."""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

# Numbers beyond this are nobody's prices or volumes; within it no sum or square of a window overflows.
LARGEST = 1e30
_BLOCK = 4096

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
    for start in range(0, opens.size, _BLOCK):
        rows = slice(start, min(start + _BLOCK, opens.size))
        before = opens[start - 1] if start else opens[0] - 1
        if not _sound(
            before, opens[rows], closes[rows], high[rows], low[rows], close[rows], volume[rows], duration
        ):
            row, fault = _first(
                before, opens[rows], closes[rows], high[rows], low[rows], close[rows], volume[rows], duration
            )
            return start + row, fault
    return -1, 0


@compiled
def _sound(
    before: int,
    opens: Times,
    closes: Times,
    high: Array,
    low: Array,
    close: Array,
    volume: Array,
    duration: int,
) -> bool:
    """Whether there is no fault. Ands without a way out, and low and high for all prices: rows go side by side."""
    sound: bool = opens[0] > before
    earlier, later = opens[:-1], opens[1:]
    for row in range(later.size):
        sound &= later[row] > earlier[row]
    for row in range(opens.size):
        sound &= (
            (closes[row] - opens[row] == duration)
            & (low[row] >= 1 / LARGEST)
            & (low[row] <= close[row])
            & (close[row] <= high[row])
            & (high[row] <= LARGEST)
            & (volume[row] >= 0)
            & (volume[row] <= LARGEST)
        )
    return sound


@compiled
def _first(
    before: int,
    opens: Times,
    closes: Times,
    high: Array,
    low: Array,
    close: Array,
    volume: Array,
    duration: int,
) -> tuple[int, int]:
    for row in range(opens.size):
        if opens[row] <= (opens[row - 1] if row else before):
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
