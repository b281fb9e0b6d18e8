"""The compiled rank of the newest value of each window.

Most comparisons need few digits: values are first sorted into steps of a coarse ladder, which a SIMD register holds
four times as many of. Only rows with a value within a step of the newest are counted in full.
"""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int16]

_BLOCK = 512  # windows that share a ladder
_STEPS = 60_000.0  # of 65,536 that the type holds


@compiled
def rank(values: Array, length: int, rounding: float) -> Array:
    """Where the newest of `length` values stands among the others, 0 (lowest) .. 1; equals count half.

    Values closer than `rounding` of the newest are its equals. None is below zero.
    """
    result = np.full(values.size, np.nan)
    others = length - 1
    steps = np.empty(_BLOCK + length, np.int16)
    below, above = np.empty(_BLOCK, np.int16), np.empty(_BLOCK, np.int16)
    for start in range(others, values.size, _BLOCK):
        lanes = min(_BLOCK, values.size - start)
        reach = values[start - others : start + lanes]
        below[:], above[:] = 0, 0
        if _place(reach, rounding, steps):
            _count(steps, others, below[:lanes], above[:lanes])
        for lane in range(lanes):
            more, less = int(above[lane]), int(below[lane])
            if more + less < others:
                less, more = _count_in_full(reach[lane : lane + length], rounding)
            result[start + lane] = 0.5 + (less - more) / (2 * others)
    return result


@compiled
def _place(values: Array, rounding: float, steps: Steps) -> bool:
    """Each value's step on a ladder from least to most; False with a NaN, and where steps would not exceed rounding."""
    least, most, known = values[0], values[0], True
    for row in range(values.size):
        least, most = min(least, values[row]), max(most, values[row])
        known &= values[row] == values[row]
    if not (known and most - least > 4 * rounding * _STEPS * most):
        return False
    scale = _STEPS / (most - least)
    for row in range(values.size):
        steps[row] = np.int16(np.int32((values[row] - least) * scale) - 30_000)
    return True


@compiled
def _count(steps: Steps, others: int, below: Steps, above: Steps) -> None:
    """How many of the `others` before each value lie more than a step below it, and above."""
    lanes = below.size
    newest = steps[others : others + lanes]
    whole = others - others % 4
    for step in range(0, whole, 4):
        first, second = steps[step : step + lanes], steps[step + 1 : step + 1 + lanes]
        third, fourth = steps[step + 2 : step + 2 + lanes], steps[step + 3 : step + 3 + lanes]
        for lane in range(lanes):
            under, over = np.int16(newest[lane] - 1), np.int16(newest[lane] + 1)
            below[lane] += (
                np.int16(first[lane] < under)
                + np.int16(second[lane] < under)
                + np.int16(third[lane] < under)
                + np.int16(fourth[lane] < under)
            )
            above[lane] += (
                np.int16(first[lane] > over)
                + np.int16(second[lane] > over)
                + np.int16(third[lane] > over)
                + np.int16(fourth[lane] > over)
            )
    for step in range(whole, others):
        first = steps[step : step + lanes]
        for lane in range(lanes):
            below[lane] += np.int16(first[lane] < newest[lane] - 1)
            above[lane] += np.int16(first[lane] > newest[lane] + 1)


@compiled
def _count_in_full(window: Array, rounding: float) -> tuple[int, int]:
    """How many of the values before the newest are its lesser, and how many its greater."""
    newest = window[window.size - 1]
    lower, upper = newest * (1 - rounding), newest * (1 + rounding)
    below, above = 0, 0
    for other in range(window.size - 1):
        below += window[other] < lower
        above += window[other] > upper
    return below, above
