"""Array arithmetic that several families share."""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]  # microseconds since 1970 UTC

# Relative differences below this are rounding: no venue quotes nine digits between two neighbouring prices.
ROUNDING = 1e-9
# By then Wilder's averages have forgotten 99.9 % of the last move: only their ratio would keep it alive.
STILL_CANDLES = 100


def log_return(close: Array) -> Array:
    """Return the change of the logarithm; NaN in the first row."""
    result = np.full_like(close, np.nan)
    np.subtract((logs := np.log(close))[1:], logs[:-1], out=result[1:])
    return result


@compiled
def quotient(part: Array, whole: Array, otherwise: float) -> Array:
    """Return part / whole; `otherwise` where the whole is not above zero."""
    result = np.empty(part.size)
    for row in range(part.size):
        share = part[row] / whole[row]
        result[row] = share if whole[row] > 0 else otherwise
    return result
