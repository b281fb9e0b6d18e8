"""What a command costs: its wall time and the memory of all processes that it starts."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

TICK = 0.1  # seconds between two looks, at least ...
REST = 30  # ... and so many times as long as a look took: counting the pages of big processes is work
MEBIBYTE = 2**20


@dataclass(slots=True)
class Peak:
    """The most memory that was seen so far."""

    mebibytes: float = 0.0


@contextmanager
def watch_memory(roots: Callable[[], list[int]]) -> Iterator[Peak]:
    """Watch the processes with these ids, and all below them, until the block ends; the last look is at its end."""
    peak, stop = Peak(), threading.Event()

    def look() -> None:
        pause = TICK
        while not stop.wait(pause):
            began = time.perf_counter()
            peak.mebibytes = max(peak.mebibytes, tree_memory(roots()))
            pause = max(TICK, REST * (time.perf_counter() - began))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        peak.mebibytes = max(peak.mebibytes, tree_memory(roots()))
        stop.set()
        watcher.join()


def tree_memory(roots: list[int]) -> float:
    """Return the mebibytes of the processes and all their descendants, pages that several share counted once."""
    return sum(map(_memory, _tree(roots))) / MEBIBYTE


def _tree(roots: list[int]) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for root in roots:
        with suppress(psutil.Error):
            process = psutil.Process(root)
            found |= {process, *process.children(recursive=True)}
    return found


def _memory(process: psutil.Process) -> int:
    """Return its share of the pages (PSS) where the system tells it, else all that it has in memory."""
    with suppress(psutil.Error):
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.rss))
    return 0  # it has just ended
