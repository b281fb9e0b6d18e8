"""Compiled quotients, each in one pass."""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]


@compiled
def quotient(part: Array, whole: Array, otherwise: float) -> Array:
    """part / whole; `otherwise` where the whole is not above zero."""
    result = np.empty(part.size)
    for row in range(part.size):
        share = part[row] / whole[row]
        result[row] = share if whole[row] > 0 else otherwise
    return result


@compiled
def excess(price: Array, average: Array) -> Array:
    """price / average - 1."""
    result = np.empty(price.size)
    for row in range(price.size):
        result[row] = price[row] / average[row] - 1
    return result
