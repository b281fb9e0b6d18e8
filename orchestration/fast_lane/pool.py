"""The warm workers of one daemon: kept at their number, replaced when they die, are worn out or out of date."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from orchestration.fast_lane.tags import WorkerProcess

LOG = logging.getLogger("fast_lane")
ANSWER_SECONDS = (
    5.0  # that a worker may take to accept a run: it only looks whether its code is still that on the disk
)
START_SECONDS = 300.0  # that it may take to load the code, on a busy machine
COMING_SECONDS = 30.0  # that a run waits for a worker that starts, before it gets a process of its own
CLOSE_SECONDS = 10.0  # that a run may go on for when the daemon ends
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0  # seconds between two starts that fail


@dataclass(frozen=True, slots=True)
class Limits:
    """How many workers there are, and after how many runs, or with how much memory, one is replaced."""

    workers: int = 2
    runs: int = 500
    megabytes: int = 2_000


class State(Enum):
    STARTING = "starting"
    IDLE = "idle"
    ASKED = "asked"  # reserved, or about to accept
    BUSY = "busy"
    ENDED = "ended"


class Worker:
    """One process. Its standard input takes run ids, its standard output answers; see `worker`."""

    def __init__(self, task: Mapping[str, Any], limits: Limits, changed: threading.Condition) -> None:
        self._limits = limits
        self._changed = changed
        self._popen = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.process = WorkerProcess.of(self._popen.pid)
        self.state = State.STARTING
        self.was_ready = False
        self.worn_out = False  # to be replaced
        self.run_id = ""  # the one that it was offered, or executes
        self.accepted = ""  # the last one that it took
        self.runs = 0
        self.began = time.monotonic()
        self._say(task)
        threading.Thread(target=self._listen, name=f"worker {self._popen.pid}", daemon=True).start()

    def take(self, run_id: str) -> bool:
        """Offer a run. False when the worker refuses or dies, or says nothing for too long: then it is killed first,
        so that nobody executes the run."""
        with self._changed:
            self.run_id = run_id
        if not (self._say({"run": run_id}) and self._wait_for(lambda: self.state is not State.ASKED)):
            self.kill()
            self._wait_for(lambda: self.state is State.ENDED)
        return self.accepted == run_id

    def lost_run(self) -> str:
        """Return the run that it had accepted and not ended; empty without one."""
        return self.run_id if self.run_id == self.accepted else ""

    def release(self) -> None:
        """Give a reserved worker back that was offered nothing."""
        with self._changed:
            if self.state is State.ASKED and not self.run_id:
                self.state = State.IDLE
                self._changed.notify_all()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._popen.kill()

    def end(self) -> None:
        """Let it end after its run."""
        with suppress(OSError):
            if self._popen.stdin is not None:
                self._popen.stdin.close()

    def join(self, seconds: float) -> None:
        """Wait for its end, then kill it."""
        try:
            self._popen.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self.kill()
            self._popen.wait()

    def how_it_ended(self) -> str:
        code = self._popen.wait()
        return f"process {self._popen.pid} ended with {'signal' if code < 0 else 'exit code'} {abs(code)}"

    def _wait_for(self, fact: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(fact, ANSWER_SECONDS)

    def _say(self, message: Mapping[str, Any]) -> bool:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(message) + "\n")
            self._popen.stdin.flush()
            return True
        except (OSError, ValueError):  # it has died, or was told to end
            return False

    def _listen(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as answers:
            for line in answers:
                with self._changed:
                    self._hear(json.loads(line))
                    self._changed.notify_all()
        self.end()
        with self._changed:
            self.state = State.ENDED
            self._changed.notify_all()

    def _hear(self, answer: Mapping[str, Any]) -> None:
        match answer["what"]:
            case "ready":
                self.state, self.was_ready = State.IDLE, True
            case "accepted":
                self.state, self.accepted = State.BUSY, answer["run"]
            case "refused":
                LOG.info("worker %s is out of date: %s", self._popen.pid, answer["why"])
                self.state, self.run_id, self.worn_out = State.IDLE, "", True
            case "stale":
                LOG.info("worker %s is out of date: %s", self._popen.pid, answer["why"])
                self.worn_out = True
            case "done":
                self.state, self.run_id, self.runs = State.IDLE, "", self.runs + 1
                worn = self.runs >= self._limits.runs or answer["megabytes"] > self._limits.megabytes
                self.worn_out = self.worn_out or worn


class WorkerPool:
    """Starts at once, in a thread of its own, one worker after the other."""

    def __init__(self, task: Mapping[str, Any], limits: Limits, on_lost: Callable[[str, str], None]) -> None:
        """`task` is what each worker is told first; `on_lost` gets a run whose worker has died, and why."""
        self._task = task
        self._limits = limits
        self._on_lost = on_lost
        self._changed = threading.Condition()
        self._workers: list[Worker] = []
        self._closing = False
        self._pause = 0.0
        self._keeper = threading.Thread(target=self._keep, name="fast lane", daemon=True)
        self._keeper.start()

    def has_room(self) -> bool:
        """Return whether a worker waits for a run."""
        with self._changed:
            return self._free() is not None

    @contextmanager
    def reserve(self) -> Iterator[Worker | None]:
        """Lend a free worker to offer a run to; None without one.

        Where one is about to be ready it is waited for: a process for the run would load the same code, and later.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free() or not self._comes(), COMING_SECONDS)
            worker = self._free()
            if worker is not None:
                worker.state, worker.run_id = State.ASKED, ""
        try:
            yield worker
        finally:
            if worker is not None:
                worker.release()

    def facts(self) -> list[dict[str, Any]]:
        """Return state, process, runs so far and run of each worker."""
        with self._changed:
            return [
                {
                    "process": each.process.process,
                    "state": each.state.value,
                    "runs": each.runs,
                    "run": each.run_id,
                }
                for each in self._workers
            ]

    def close(self) -> None:
        """End all workers; one that executes a run has some seconds for it, and its run is closed as lost then."""
        with self._changed:
            self._closing = True
            workers = list(self._workers)
            self._changed.notify_all()
        deadline = time.monotonic() + CLOSE_SECONDS
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.join(deadline - time.monotonic())
        self._keeper.join()

    def _free(self) -> Worker | None:
        if self._closing:
            return None
        free = (each for each in self._workers if each.state is State.IDLE and not each.worn_out)
        return min(free, key=lambda each: each.runs, default=None)

    def _comes(self) -> bool:
        """Return whether a worker is starting, or starts next; False where starts fail."""
        ready = [each for each in self._workers if each.was_ready and each.state is not State.ENDED]
        return not self._closing and not self._pause and len(ready) < self._limits.workers

    def _keep(self) -> None:
        while True:
            with self._changed:
                lost = [each for each in self._workers if each.state is State.ENDED]
                self._workers = [each for each in self._workers if each.state is not State.ENDED]
                closing = self._closing and not self._workers
            for worker in lost:
                self._bury(worker)
            if closing:
                return
            self._replace()
            with self._changed:
                self._changed.wait(timeout=1.0)

    def _bury(self, worker: Worker) -> None:
        """Report the run of a worker that is gone, and wait a little longer where it never was ready."""
        how = worker.how_it_ended()
        if lost := worker.lost_run():
            LOG.warning("run %s is lost: its worker, %s", lost, how)
            try:
                self._on_lost(lost, how)
            except Exception:
                LOG.exception("run %s could not be closed; run monitoring does it", lost)
        if not worker.was_ready and not self._closing:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), MAX_PAUSE)
            LOG.warning("a worker, %s before it was ready; the next starts in %.0f s", how, self._pause)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, self._pause)

    def _replace(self) -> None:
        """Start one worker where one is missing; let a worn one go once its successor is ready."""
        with self._changed:
            if self._closing:
                return
            fresh = [each for each in self._workers if not each.worn_out]
            starting = [each for each in fresh if each.state is State.STARTING]
            ready = len(fresh) - len(starting)
            leaving = [each for each in self._workers if each.worn_out and each.state is State.IDLE]
            late = [each for each in starting if time.monotonic() - each.began > START_SECONDS]
        if ready:
            self._pause = 0.0
        for worker in leaving[: max(ready, 1)]:
            worker.end()
        for worker in late:
            worker.kill()
        if not starting and len(fresh) < self._limits.workers:
            self._start_one()

    def _start_one(self) -> None:
        with self._changed:
            if not self._closing:
                self._workers.append(Worker(self._task, self._limits, self._changed))
