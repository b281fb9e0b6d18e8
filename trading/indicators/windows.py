"""Arithmetic over trailing windows: each result depends on its own window alone, to the last digit."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import talib

Array = npt.NDArray[np.float64]

# Relative differences below this are rounding: no venue quotes nine digits between two neighbouring prices.
ROUNDING = 1e-9
# By then Wilder's averages have forgotten 99.9 % of the last move: only their ratio would keep it alive.
_STILL_CANDLES = 100


def changes(values: Array) -> Array:
    return np.concatenate([[0.0], np.diff(values)])


def unmoved(changes: Array) -> npt.NDArray[np.bool_]:
    """True where each of the last 100 changes, or each since the start, was zero (NaN counts as zero)."""
    index = np.arange(changes.size)
    last = np.maximum.accumulate(np.where(np.nan_to_num(changes) != 0, index, -_STILL_CANDLES))
    return index - last >= _STILL_CANDLES


def flat(high: Array, low: Array, length: int) -> npt.NDArray[np.bool_]:
    """True where the window's prices differ by rounding alone."""
    highest, lowest = talib.MAX(high, length), talib.MIN(low, length)
    return np.asarray(highest - lowest <= ROUNDING * highest)


def ratio(part: Array, whole: Array, usable: npt.NDArray[np.bool_], *, otherwise: float) -> Array:
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=usable)


def mean(values: Array, length: int) -> Array:
    return over_windows(values, length, lambda windows: windows.mean(axis=1))


def over_windows(values: Array, length: int, measure: Callable[[Array], Array]) -> Array:
    """`measure` of each window of `length` values, afresh so that nothing older stays behind; NaN before."""
    result = np.full(values.size, np.nan)
    if values.size >= length:
        result[length - 1 :] = measure(np.lib.stride_tricks.sliding_window_view(values, length))
    return result
