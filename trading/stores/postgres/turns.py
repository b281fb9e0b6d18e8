"""Searches that share pipelines: each sends its statements before any waits for a result."""

from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Search = Generator[None, None, Result]  # sends, yields, reads what it has sent, and perhaps sends more


def in_turns(*searches: Search[Any]) -> Search[list[Any]]:
    """Run them by turns, so that the server works on what one has sent while another reads; returns their results."""
    results: list[Any] = [None] * len(searches)
    running = dict(enumerate(searches))
    while running:
        for number, search in tuple(running.items()):
            try:
                next(search)
            except StopIteration as end:
                results[number] = end.value
                del running[number]
        yield
    return results


def finish(search: Search[Result]) -> Result:
    while True:
        try:
            next(search)
        except StopIteration as end:
            result: Result = end.value
            return result
