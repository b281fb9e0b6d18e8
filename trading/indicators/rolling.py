"""Compiled arithmetic over trailing windows: each result depends on its own window alone, to the last digit.

TA-Lib's functions for these keep running sums: what has left the window stays in their last digits. Here
neighbouring windows are summed side by side, one per SIMD lane, in blocks that stay in the first cache; a long
window is a sum of the sums of its parts. Slices, so that inner loops count from zero: only then does the compiler
use the lanes.
"""

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import Array

_BLOCK = 1024


@compiled
def rolling_mean(values: Array, length: int) -> Array:
    """Return the mean of each window of `length` values; NaN before the first and where the window holds one."""
    result = np.full(values.size, np.nan)
    part = _part_length(length)
    sums = np.empty(_BLOCK + length)
    count = values.size - length + 1
    for start in range(0, count, _BLOCK):
        lanes = min(_BLOCK, count - start)
        needed = lanes + length - part
        sums[:needed] = values[start : start + needed]
        for step in range(1, part):
            later = values[start + step : start + step + needed]
            for lane in range(needed):
                sums[lane] += later[lane]
        total = result[start + length - 1 : start + length - 1 + lanes]
        total[:] = sums[:lanes]
        for step in range(part, length, part):
            later = sums[step : step + lanes]
            for lane in range(lanes):
                total[lane] += later[lane]
        for lane in range(lanes):
            total[lane] /= length
    return result


@compiled
def _part_length(length: int) -> int:
    """Return the largest divisor of `length` up to its root."""
    part = 1
    for divisor in range(2, length):
        if divisor * divisor <= length and length % divisor == 0:
            part = divisor
    return part


@compiled
def rolling_deviation(values: Array, means: Array, length: int) -> Array:
    """Return the standard deviation (of the population) of each window around its mean, from `rolling_mean`."""
    result = np.full(values.size, np.nan)
    count = values.size - length + 1
    for start in range(0, count, _BLOCK):
        lanes = min(_BLOCK, count - start)
        ends = slice(start + length - 1, start + length - 1 + lanes)
        centre, total = means[ends], result[ends]
        total[:] = 0.0
        for step in range(length):
            value = values[start + step : start + step + lanes]
            for lane in range(lanes):
                apart = value[lane] - centre[lane]
                total[lane] += apart * apart
        for lane in range(lanes):
            total[lane] = np.sqrt(total[lane] / length)
    return result


@compiled
def rolling_slope(values: Array, length: int) -> Array:
    """Return the slope per step of the least-squares line through each window; exactly 0 through equal values.

    The values are taken in pairs from both ends: their weights are each other's negatives.
    """
    result = np.full(values.size, np.nan)
    count = values.size - length + 1
    for start in range(0, count, _BLOCK):
        lanes = min(_BLOCK, count - start)
        total = result[start + length - 1 : start + length - 1 + lanes]
        total[:] = 0.0
        for step in range(length // 2):
            weight = (length - 1) / 2 - step
            old, new = values[start + step :], values[start + length - 1 - step :]
            for lane in range(lanes):
                total[lane] += weight * (new[lane] - old[lane])
        for lane in range(lanes):
            total[lane] /= length * (length * length - 1) / 12
    return result


@compiled
def rolling_sum_score(steps: Array, length: int, rounding: float) -> Array:
    """Return (last - mean) / deviation of the sum that grows by `steps` from zero in each window; NaN before.

    0 where the deviation is rounding beside the sum itself.
    """
    result = np.full(steps.size, np.nan)
    total, mean, squares = np.empty((3, _BLOCK))
    count = steps.size - length + 1
    for start in range(0, count, _BLOCK):
        lanes = min(_BLOCK, count - start)
        total[:], mean[:], squares[:] = 0.0, 0.0, 0.0
        for step in range(start, start + length):
            added = steps[step : step + lanes]
            for lane in range(lanes):
                total[lane] += added[lane]
                mean[lane] += total[lane]
        for lane in range(lanes):
            mean[lane] /= length
            total[lane] = 0.0
        for step in range(start, start + length):
            added = steps[step : step + lanes]
            for lane in range(lanes):
                total[lane] += added[lane]
                apart = total[lane] - mean[lane]
                squares[lane] += apart * apart
        score = result[start + length - 1 : start + length - 1 + lanes]
        for lane in range(lanes):
            deviation = np.sqrt(squares[lane] / length)
            moves = deviation > rounding * (abs(mean[lane]) + abs(total[lane]))
            score[lane] = (total[lane] - mean[lane]) / deviation if moves else 0.0
    return result
