"""Machine code on disk that is never older than its source. Leaf module: importing it imports Numba.

Numba's cache looks at the file that defines a function, and at nothing that the function calls. The kernel is
compiled together with the arithmetic of other modules, so the text of all of them is made part of its key:
a number in a closure, which Numba hashes.
"""

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def inlined(function: Function) -> Function:
    """Compiled as a part of whatever calls it. Calls cost more than they do: arrays are counted in and out."""
    return cast(Function, njit(error_model="numpy", nogil=True, forceinline=True)(function))


def cached_by(function: Function, signature: Any) -> Function:
    """Compiled now, or read from disk; where no folder can be written, compiled in every process."""
    try:
        return cast(Function, njit(signature, cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return cast(Function, njit(signature, nogil=True, error_model="numpy")(function))


def fingerprint(*modules: ModuleType) -> int:
    """Changes when the text of one of the modules does."""
    text = "\0".join(inspect.getsource(module) for module in modules)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
