"""Array arithmetic that several families share."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Relative differences below this are rounding: no venue quotes nine digits between two neighbouring prices.
ROUNDING = 1e-9
# By then Wilder's averages have forgotten 99.9 % of the last move: only their ratio would keep it alive.
STILL_CANDLES = 100


def changes(values: Array, length: int = 1) -> Array:
    """Since `length` candles ago; 0 in the rows before."""
    result = np.zeros_like(values)
    np.subtract(values[length:], values[:-length], out=result[length:])
    return result


def log_return(close: Array) -> Array:
    """NaN in the first row."""
    result = np.full_like(close, np.nan)
    np.subtract((logs := np.log(close))[1:], logs[:-1], out=result[1:])
    return result


def flat(highest: Array, lowest: Array) -> Flags:
    """True where a window's prices differ by rounding alone."""
    return np.asarray(highest - lowest <= ROUNDING * highest)


def ratio(part: Array, whole: Array, usable: Flags, *, otherwise: float) -> Array:
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=usable)
