"""The compiled rank of the newest value of each window. TA-Lib's PERCENTRANK counts equal values as higher.

Most comparisons need few digits: values are first sorted into steps of a coarse ladder, which a SIMD register holds
four times as many of. Only rows with a value within a step of the newest are counted in full.
"""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled
from trading.indicators.arithmetic import Array

Steps = npt.NDArray[np.int16]

_BLOCK = 512  # windows that share a ladder
_STEPS = 60_000.0  # of 65,536 that the type holds


@compiled
def percentile_rank(values: Array, length: int, rounding: float) -> Array:
    """Return where the newest of `length` values stands among the others, 0 (lowest) to 1; equals count half.

    Values closer than `rounding` of the newest are its equals. None is below zero. NaN in the first rows.
    """
    result = np.full(values.size, np.nan)
    others = length - 1
    steps = np.empty(_BLOCK + length, np.int16)
    below, above = np.empty(_BLOCK, np.int16), np.empty(_BLOCK, np.int16)
    for start in range(others, values.size, _BLOCK):
        lanes = min(_BLOCK, values.size - start)
        reach = values[start - others : start + lanes]
        below[:], above[:] = 0, 0
        if _place_on_ladder(reach, rounding, steps):
            _count_steps(steps, others, below[:lanes], above[:lanes])
        for lane in range(lanes):
            more, less = int(above[lane]), int(below[lane])
            if more + less < others:
                less, more = _count_in_full(reach[lane : lane + length], rounding)
            result[start + lane] = 0.5 + (less - more) / (2 * others)
    return result


@compiled
def _place_on_ladder(values: Array, rounding: float, steps: Steps) -> bool:
    """Write each value's step on a ladder from the lowest to the highest into `steps`.

    Return False with a NaN, and where steps would not exceed rounding.
    """
    lowest, highest, known = values[0], values[0], True
    for row in range(values.size):
        lowest, highest = min(lowest, values[row]), max(highest, values[row])
        known &= values[row] == values[row]
    if not (known and highest - lowest > 4 * rounding * _STEPS * highest):
        return False
    scale = _STEPS / (highest - lowest)
    for row in range(values.size):
        steps[row] = np.int16(np.int32((values[row] - lowest) * scale) - 30_000)
    return True


@compiled
def _count_steps(steps: Steps, others: int, below: Steps, above: Steps) -> None:
    """Add up the values among the `others` before each one that lie more than a step below it, and above."""
    lanes = below.size
    newest = steps[others : others + lanes]
    for step in range(others):
        other = steps[step : step + lanes]
        for lane in range(lanes):
            below[lane] += np.int16(other[lane] < np.int16(newest[lane] - 1))
            above[lane] += np.int16(other[lane] > np.int16(newest[lane] + 1))


@compiled
def _count_in_full(window: Array, rounding: float) -> tuple[int, int]:
    """Count the values before the newest that are lower, and those that are higher."""
    newest = window[window.size - 1]
    lower, upper = newest * (1 - rounding), newest * (1 + rounding)
    below, above = 0, 0
    for other in range(window.size - 1):
        below += window[other] < lower
        above += window[other] > upper
    return below, above
