"""Compiled arithmetic over trailing windows: each result depends on its own window alone, to the last digit.

No running sums: what has left the window would stay in their last digits. Neighbouring windows are summed side
by side instead, one per SIMD lane, in blocks that stay in the first cache; a long window is a sum of the sums of
its parts. Slices, so that inner loops count from zero: only then does the compiler use the lanes.
"""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]

_BLOCK = 1024


@compiled
def _part_of(length: int) -> int:
    """The largest divisor of `length` up to its root."""
    part = 1
    for divisor in range(2, length):
        if divisor * divisor <= length and length % divisor == 0:
            part = divisor
    return part


@compiled
def mean(values: Array, length: int) -> Array:
    """Of each window of `length` values; NaN before the first and where the window holds one."""
    result = np.full(values.size, np.nan)
    part = _part_of(length)
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
def deviation(values: Array, means: Array, length: int) -> Array:
    """Standard deviation (of the population) of each window around its mean, as `mean` gives it."""
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
def mean_distance(values: Array, means: Array, length: int) -> Array:
    """Mean size of the distance of each window's values from its mean, as `mean` gives it."""
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
                total[lane] += abs(value[lane] - centre[lane])
        for lane in range(lanes):
            total[lane] /= length
    return result


@compiled
def slope(values: Array, length: int) -> Array:
    """Per step, of the least-squares line through each window; exactly 0 through equal values.

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
