"""The compiled walk of a regime through a table. Importing it imports Numba: do so where it is needed.

Numba renews what is on disk when the file of the compiled function changes, and looks at nothing that it calls. The
walk calls the arithmetic of another module, so the text of that is made part of its key: a number in a closure.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import cast

import numba
import numpy as np
import numpy.typing as npt

from trading import regime_weights

Array = npt.NDArray[np.float64]
Walk = Callable[..., Array]


_weigh = numba.njit(error_model="numpy", nogil=True, forceinline=True)(regime_weights.weigh)


def _walk(source: int) -> Walk:
    def walk(
        adx: Array,
        plus: Array,
        minus: Array,
        alignment: Array,
        percentile: Array,
        correlation: Array,
        lowest: Array,
        highest: Array,
    ) -> Array:
        """(6, n) what `weigh` gives for each row; NaN where an input is outside `lowest` to `highest`, (6,) each."""
        source  # noqa: B018  part of the cache's key
        result = np.empty((6, adx.size))
        score, up, down, ranging, volatile, quiet = result
        for row in range(adx.size):
            # Ands, not conditions: the rows follow no pattern that a branch could be guessed by. NaN fails all.
            usable = (
                ((adx[row] >= lowest[0]) & (adx[row] <= highest[0]))
                & ((plus[row] >= lowest[1]) & (plus[row] <= highest[1]))
                & ((minus[row] >= lowest[2]) & (minus[row] <= highest[2]))
                & ((alignment[row] >= lowest[3]) & (alignment[row] <= highest[3]))
                & ((percentile[row] >= lowest[4]) & (percentile[row] <= highest[4]))
                & (
                    ((correlation[row] >= lowest[5]) & (correlation[row] <= highest[5]))
                    | (correlation[row] != correlation[row])
                )
            )
            weights = _weigh(
                adx[row], plus[row], minus[row], alignment[row], percentile[row], correlation[row]
            )
            score[row] = weights[0] if usable else np.nan
            up[row] = weights[1] if usable else np.nan
            down[row] = weights[2] if usable else np.nan
            ranging[row] = weights[3] if usable else np.nan
            volatile[row] = weights[4] if usable else np.nan
            quiet[row] = weights[5] if usable else np.nan
        return result

    return walk


def _fingerprint() -> int:
    text = inspect.getsource(regime_weights)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


walk = cast(Walk, numba.njit(cache=True, nogil=True, error_model="numpy")(_walk(_fingerprint())))
