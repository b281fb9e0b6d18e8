"""Correlation of two markets: Pearson's, of their log returns over trailing windows."""

import math

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled
from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]

_BLOCK = 256  # neighbouring windows that are summed side by side, one per SIMD lane, within the first cache

# Returns that deviate from their mean by less than this are still: no venue quotes nine digits between two
# neighbouring prices, so that only rounding would be correlated.
STILL = 1e-9


def rolling_correlation(own_closes: Array, other_closes: Array, length: int) -> Array:
    """Return (n,) correlation of the last `length` log returns of both, -1..1; entry t reads closes t - length to t.

    NaN while fewer than `length` returns are known and wherever the window holds a NaN close; 0 where either
    market is still. Each entry depends on its own window alone, to the last digit: nothing older stays behind.
    Both arrays lie on the same candles, one close each. InvalidValue: a close that no market has (zero, below
    it, infinite), arrays of two lengths, a window of fewer than two returns.
    """
    if length < 2:
        raise InvalidValue(f"length is {length}: a correlation takes at least 2 returns")
    own, other = _returns(own_closes, other_closes)
    result = np.full(own_closes.size, np.nan)
    if own.size >= length:
        result[length:] = _correlate_windows(own, other, length, length * STILL**2)
    return result


def correlation(own_closes: Array, other_closes: Array) -> float:
    """Return the correlation of one window, the same to the last digit as its entry in `rolling_correlation`.

    `length` returns take `length` + 1 closes; NaN with fewer than two returns.
    """
    own, other = _returns(own_closes, other_closes)
    count = own.size
    if count < 2:
        return math.nan
    own, other = own - _sum(own) / count, other - _sum(other) / count
    own_square, other_square, product = _sum(own * own), _sum(other * other), _sum(own * other)
    if own_square <= count * STILL**2 or other_square <= count * STILL**2:
        return 0.0
    return float(np.clip(product / math.sqrt(own_square * other_square), -1.0, 1.0))  # keeps NaN


def _sum(values: Array) -> float:
    """Add from the first to the last, as the compiled loop does; np.sum adds in pairs."""
    return float(np.add.accumulate(values)[-1])


def _returns(own_closes: Array, other_closes: Array) -> tuple[Array, Array]:
    if own_closes.shape != other_closes.shape:
        raise InvalidValue(
            f"{own_closes.size} closes against {other_closes.size}: put both on the same candles first"
        )
    return _log_returns(own_closes, "own"), _log_returns(other_closes, "other")


def _log_returns(closes: Array, whose: str) -> Array:
    wrong = np.flatnonzero((closes <= 0) | np.isinf(closes))
    if wrong.size:
        raise InvalidValue(
            f"{whose} close {wrong[0]} is {closes[wrong[0]]}: closes are above zero and finite, NaN if unknown"
        )
    return np.diff(np.log(np.ascontiguousarray(closes, dtype=np.float64)))


@compiled
def _correlate_windows(own: Array, other: Array, length: int, still: float) -> Array:
    """Return (n - length + 1,) correlation of each window of `length` returns; 0 where a sum of squares is <= still.

    Every window is centred and summed afresh, from its first to its last return.
    """
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
