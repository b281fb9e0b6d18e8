"""The tags of a run in the lane: that it belongs there, and which process executes it."""

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
    began: float  # by `began`

    @classmethod
    def of(cls, process: int) -> "WorkerProcess":
        """Describe a process of this machine. psutil.NoSuchProcess when it has ended."""
        return cls(socket.gethostname(), process, began(process))

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
            return bool(began(self.process) == self.began and found.status() != psutil.STATUS_ZOMBIE)
        return False

    def signal(self, number: int) -> bool:
        """Send a signal, if it runs; returns whether it did."""
        if not self.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.process, number)
            return True
        return False


def began(process: int) -> float:
    """Return when a process of this machine began: on Linux in clock ticks since the machine did (proc(5), starttime).

    `psutil` adds the time of the boot, and that moves whenever somebody sets the clock: every run would look lost.
    psutil.NoSuchProcess when it has ended.
    """
    if not psutil.LINUX:
        return float(psutil.Process(process).create_time())
    try:
        values = Path(f"/proc/{process}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(process) from None
    return float(values.rpartition(b")")[2].split()[19])
