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

# Compiled code here allocates nothing, so it needs no counting of who uses an array (`_nrt`): counting them in and
# out of every function makes the walk three times slower.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def inline(function: Function) -> Function:
    """Compile a function as a part of whatever calls it."""
    return cast(Function, njit(forceinline=True, **OPTIONS)(function))


def compile_cached(function: Function, signature: Any) -> Function:
    """Compile now, or read from disk; where no folder can be written, compile in every process."""
    try:
        return cast(Function, njit(signature, cache=True, **OPTIONS)(function))
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return cast(Function, njit(signature, **OPTIONS)(function))


def fingerprint(*modules: ModuleType) -> int:
    """Return a number that changes when the text of one of the modules does."""
    text = "\0".join(inspect.getsource(module) for module in modules)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
