"""Compiled: when something is due, in candles."""

import numpy as np
import numpy.typing as npt

from trading.backtest.compiling import inlined

Integers = npt.NDArray[np.int64]


@inlined
def first_at(times: Integers, moment: int, row: int) -> int:
    """First row from `row` on whose time is not before `moment`: doubling steps, then halves."""
    size = times.size
    step = 1
    while row < size and times[row] < moment:
        row += step
        step *= 2
    if step == 1:
        return row
    low, high = row - step // 2, min(row, size)
    while low + 1 < high:
        middle = (low + high) // 2
        if times[middle] < moment:
            low = middle
        else:
            high = middle
    return high
