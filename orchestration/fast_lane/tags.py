"""The tags of a run in the lane: that it belongs there, and which process executes it."""

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

LANE = {"fast_lane": "true"}  # on a job, or on a run
WORKER_TAG = "fast_lane/worker"
CANCEL_SIGNAL = signal.SIGUSR1  # to a worker: look whether your run is to be cancelled
NO_WORKER = "none"  # no warm worker took it: it runs as every other run


def is_in_lane(tags: Mapping[str, str]) -> bool:
    """Return whether the run asks for the lane."""
    return LANE.items() <= dict(tags).items()


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A process of a machine: its id, and when it began, since ids are used again."""

    host: str
    process: int
    began: float  # seconds since 1970, as `psutil` tells them

    @classmethod
    def of(cls, process: int) -> "WorkerProcess":
        """Describe a process of this machine. psutil.NoSuchProcess when it has ended."""
        return cls(socket.gethostname(), process, psutil.Process(process).create_time())

    @classmethod
    def parse(cls, tags: Mapping[str, str]) -> "WorkerProcess | None":
        """Read the tag of a run; None for a run without a worker."""
        text = tags.get(WORKER_TAG, NO_WORKER)
        if text == NO_WORKER:
            return None
        host, process, began = text.rsplit(" ", 2)
        return cls(host, int(process), float(began))

    def __str__(self) -> str:
        return f"{self.host} {self.process} {self.began}"

    @property
    def is_here(self) -> bool:
        """Return whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Return whether it runs; only asked where it `is_here`."""
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process)
            return bool(found.create_time() == self.began and found.status() != psutil.STATUS_ZOMBIE)
        return False

    def signal(self, number: int) -> bool:
        """Send a signal, if it runs; returns whether it did."""
        if not self.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.process, number)
            return True
        return False
