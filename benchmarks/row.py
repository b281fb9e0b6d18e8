"""One number of a benchmark beside what it is compared with, and how long calls take."""

import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from platform import python_version
from statistics import median
from typing import Any

Row = dict[str, Any]
Benchmark = Callable[[], Iterator[Row]]
Call = Callable[[], object]


def row(
    identity: str, what: str, value: float, unit: str, peer: str, peer_value: float | None, *, target: str,
    packages: tuple[str, ...] = (),
) -> Row:  # fmt: skip
    """`ratio` is how many times better than the peer: of rates, whose unit ends in /s, more is better, else less.

    Without a peer's value there is none: no peer does the same, or it is not installed. Nor is there one to zero.
    """
    ratio = None
    if value and peer_value:
        ratio = value / peer_value if unit.endswith("/s") else peer_value / value
    return {
        "id": identity, "what": what, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
        "ratio": ratio, "target": target,
        "versions": {"python": python_version(), **{name: version(name) for name in packages}},
    }  # fmt: skip


def seconds(call: Call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def best(call: Call, rounds: int) -> float:
    """Seconds of the fastest round after one that warms up: the others measure what else the machine was doing."""
    call()
    return min(seconds(call) for _ in range(rounds))


def medians(calls: Mapping[str, Call], rounds: int) -> dict[str, float]:
    """Seconds of each after a round that warms up; in turns, so that what else the machine does meets them all."""
    for call in calls.values():
        call()
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            spent[name].append(seconds(call))
    return {name: median(each) for name, each in spent.items()}
