"""One function at work in several threads at the same moment."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def at_once(function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> list[Result]:
    """Return what each call returns, in order; all begin together, and the first error is raised."""
    given = list(arguments)
    together = Barrier(len(given))

    def call(argument: Argument) -> Result:
        together.wait()
        return function(argument)

    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(call, given))
