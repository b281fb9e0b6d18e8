"""Array arithmetic that several families share."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Relative differences below this are rounding: no venue quotes nine digits between two neighbouring prices.
ROUNDING = 1e-9
# By then Wilder's averages have forgotten 99.9 % of the last move: only their ratio would keep it alive.
STILL_CANDLES = 100


def log_return(close: Array) -> Array:
    """NaN in the first row."""
    result = np.full_like(close, np.nan)
    np.subtract((logs := np.log(close))[1:], logs[:-1], out=result[1:])
    return result
