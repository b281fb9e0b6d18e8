"""The compiled part of rolling correlation. Importing it imports Numba: do so where it is needed."""

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BLOCK = 256  # neighbouring windows that are summed side by side, one per SIMD lane, within the first cache


def windows(own: Array, other: Array, length: int, still: float) -> Array:
    """(n - length + 1,) correlation of each window of `length` returns; 0 where a sum of squares is <= still.

    Every window is centred and summed afresh, from its first to its last return.
    """
    return np.asarray(_compiled(own, other, length, still))


def _windows(own: Array, other: Array, length: int, still: float) -> Array:
    count = own.size - length + 1
    result = np.empty(count)
    own_mean, other_mean = np.empty(_BLOCK), np.empty(_BLOCK)
    own_square, other_square, product = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, count, _BLOCK):
        lanes = min(_BLOCK, count - start)
        own_mean[:], other_mean[:], own_square[:], other_square[:], product[:] = 0.0, 0.0, 0.0, 0.0, 0.0
        # Slices, so that the inner loops count from zero: only then does the compiler use the lanes.
        for step in range(start, start + length):
            x, y = own[step : step + lanes], other[step : step + lanes]
            for lane in range(lanes):
                own_mean[lane] += x[lane]
                other_mean[lane] += y[lane]
        for lane in range(lanes):
            own_mean[lane] /= length
            other_mean[lane] /= length
        for step in range(start, start + length):
            x, y = own[step : step + lanes], other[step : step + lanes]
            for lane in range(lanes):
                from_own, from_other = x[lane] - own_mean[lane], y[lane] - other_mean[lane]
                own_square[lane] += from_own * from_own
                other_square[lane] += from_other * from_other
                product[lane] += from_own * from_other
        for lane in range(lanes):
            if own_square[lane] <= still or other_square[lane] <= still:
                result[start + lane] = 0.0
            else:
                result[start + lane] = product[lane] / np.sqrt(own_square[lane] * other_square[lane])
    return np.minimum(np.maximum(result, -1.0), 1.0)  # both keep NaN; min and max of scalars would not


_compiled = numba.njit(cache=True)(_windows)
