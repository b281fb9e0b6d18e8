"""How loops are compiled. Importing this imports Numba: only the modules that lazily imported ones share do."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Kept on disk between processes; other threads run meanwhile; a division by zero gives infinity or NaN.

    A compiled function must not read names or call functions of another module: what is on disk is renewed
    only when its own file changes.
    """
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
