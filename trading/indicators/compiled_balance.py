"""The compiled z-score of on-balance volume.

The balance of a window counts from zero at its first candle. It is put together from that of its parts: within
each part total, mean balance, sum of squares around that mean; then the parts in a row, each starting at the
balance where the one before ended (Chan, Golub, LeVeque 1979).
"""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]

_BLOCK = 1024


@compiled
def balance_score(signed: Array, part: int, parts: int, rounding: float) -> Array:
    """(last - mean) / deviation of the running sum over each window of part x parts values; NaN before.

    0 where the deviation is rounding beside the running sum itself.
    """
    length = part * parts
    result = np.full(signed.size, np.nan)
    total, middle, spread = np.empty((3, _BLOCK + length))
    level, mean, squares = np.empty((3, _BLOCK))
    count = signed.size - length + 1
    for start in range(0, count, _BLOCK):
        lanes = min(_BLOCK, count - start)
        needed = lanes + length - part
        _measure_parts(signed[start:], part, total[:needed], middle[:needed], spread[:needed])
        level[:], mean[:], squares[:] = 0.0, 0.0, 0.0
        for step in range(0, length, part):
            added, inner = total[step:needed], middle[step:needed]
            for lane in range(lanes):
                mean[lane] += level[lane] + inner[lane]
                level[lane] += added[lane]
        for lane in range(lanes):
            mean[lane] /= parts
            level[lane] = 0.0
        for step in range(0, length, part):
            added, inner, around = total[step:needed], middle[step:needed], spread[step:needed]
            for lane in range(lanes):
                apart = level[lane] + inner[lane] - mean[lane]
                squares[lane] += around[lane] + part * (apart * apart)
                level[lane] += added[lane]
        score = result[start + length - 1 : start + length - 1 + lanes]
        for lane in range(lanes):
            deviation = np.sqrt(squares[lane] / length)
            moves = deviation > rounding * (abs(mean[lane]) + abs(level[lane]))
            score[lane] = (level[lane] - mean[lane]) / deviation if moves else 0.0
    return result


@compiled
def _measure_parts(signed: Array, part: int, total: Array, middle: Array, spread: Array) -> None:
    """Of the `part` values from each start on: sum, mean and squares of the running sum."""
    needed = total.size
    total[:], middle[:], spread[:] = 0.0, 0.0, 0.0
    for step in range(part):
        value = signed[step : step + needed]
        for lane in range(needed):
            total[lane] += value[lane]
            middle[lane] += total[lane]
    for lane in range(needed):
        middle[lane] /= part
        total[lane] = 0.0
    for step in range(part):
        value = signed[step : step + needed]
        for lane in range(needed):
            total[lane] += value[lane]
            apart = total[lane] - middle[lane]
            spread[lane] += apart * apart
