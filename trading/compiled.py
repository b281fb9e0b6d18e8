"""Loops that Numba compiles when one of them is first called.

Numba takes longer to import than everything else together: a process that only reads the names of a module does not
wait for it.
"""

import sys
from collections.abc import Callable
from threading import RLock
from types import ModuleType
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_LOCK = RLock()


class Uncompiled:
    """A function that compiles itself, and all others of its module, with its first call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.machine_code: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self.machine_code is None:
            compile_functions(sys.modules[self.function.__module__])
        assert self.machine_code is not None
        return self.machine_code(*arguments)


def compiled(function: Function) -> Function:
    """Mark a function for Numba; a division by zero gives infinity or NaN, and other threads run meanwhile.

    A compiled function must not read names or call functions of another module: the machine code on disk is renewed
    only when the file of the function changes. Arguments are passed by position.
    """
    return cast(Function, Uncompiled(function))


def compile_functions(module: ModuleType) -> None:
    """Replace the marked functions of a module, which may call each other, by compiled ones."""
    import numba

    with _LOCK:
        for name, value in list(vars(module).items()):
            if isinstance(value, Uncompiled) and value.function.__module__ == module.__name__:
                value.machine_code = numba.njit(cache=True, nogil=True, error_model="numpy")(value.function)
                setattr(module, name, value.machine_code)
