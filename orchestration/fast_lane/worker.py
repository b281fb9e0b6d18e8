"""A warm worker: `python -m orchestration.fast_lane.worker`, a child of the daemon.

It reads one JSON object per line from standard input: first what to load, then runs. It answers on what was its
standard output. It executes one run at a time, as Dagster's own `dagster api execute_run` does, and ends when its
input does.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.events import EngineEventData
from dagster._core.instance import InstanceRef
from dagster._grpc.impl import core_execute_run
from dagster._serdes import deserialize_value
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts

from orchestration.fast_lane.connections import keep_connections
from orchestration.fast_lane.tags import CANCEL_SIGNAL

FILES_SECONDS = 2.0  # between two looks at the files while no run comes
GRACE_SECONDS = 30.0  # that a cancelled run, or one whose daemon is gone, may take to end


class LoadedFiles:
    """The project's files that this process has loaded, as they were then."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}
        self._folders = tuple({sys.prefix, sys.base_prefix})

    def note(self, more: Iterable[str | Path] = ()) -> None:
        """Note files that were loaded since; installed packages do not change below a running process."""
        paths = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        for path in [*(each for each in paths if each), *map(str, more)]:
            if path not in self._known and (path in more or not path.startswith(self._folders)):
                self._known[path] = _stamp(path)

    def changed(self) -> str:
        """Return the first file that is not as it was; empty when all are."""
        return next((path for path, stamp in self._known.items() if _stamp(path) != stamp), "")


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


class Runs:
    """Executes runs with an instance and definitions that stay loaded."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._jobs: dict[tuple[Any, ...], ReconstructableJob] = {}
        self._current = ""
        self._lock = threading.Lock()

    def execute(self, run_id: str) -> bool:
        """Execute the run; how it ends is in its events. False when that could not be stored."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or run.job_code_origin is None:
            return True
        with capture_interrupts():
            with self._lock:
                self._current = run_id
            try:
                self._instance.report_engine_event(
                    f"Started in a warm worker (pid: {os.getpid()}).",
                    run,
                    EngineEventData.in_process(os.getpid()),
                )
                for _ in core_execute_run(self._job(run), run, self._instance, inject_env_vars=True):
                    pass
            except BaseException as error:  # it is among the run's events
                print(f"run {run_id}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                with self._lock:
                    self._current = ""
        return self._is_over(run_id)

    def _is_over(self, run_id: str) -> bool:
        try:
            run = self._instance.get_run_by_id(run_id)
        except Exception as error:
            print(f"run {run_id}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return False
        return run is None or run.is_finished

    def _job(self, run: DagsterRun) -> ReconstructableJob:
        """Return the job as the very object of before: Dagster keeps what it has built for that."""
        assert run.job_code_origin is not None
        made = recon_job_from_origin(run.job_code_origin)
        return self._jobs.setdefault((made.repository.pointer, made.job_name), made)

    def cancel_if_asked(self) -> None:
        """Interrupt the run if somebody has asked to cancel it; another run that has begun meanwhile goes on."""
        with self._lock:
            run = self._instance.get_run_by_id(self._current) if self._current else None
            if run is None or run.status is not DagsterRunStatus.CANCELING:
                return
            os.kill(os.getpid(), signal.SIGINT)
        self._end_if_stuck(run.run_id)

    def _end_if_stuck(self, run_id: str) -> None:
        """End the process where the interrupt does not end the run."""
        timer = threading.Timer(GRACE_SECONDS, lambda: os._exit(1) if self._current == run_id else None)
        timer.daemon = True
        timer.start()

    def leave(self) -> None:
        """End the process some time after the daemon has: its run may end first."""
        timer = threading.Timer(GRACE_SECONDS, os._exit, (1,))
        timer.daemon = True
        timer.start()


def main() -> None:
    """Serve until standard input ends."""
    # Before any thread begins: one thread alone waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {CANCEL_SIGNAL})
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's Ctrl-C reaches the whole group; the daemon ends us
    answers = _private_output()
    task = json.loads(sys.stdin.readline())
    with DagsterInstance.from_ref(deserialize_value(task["instance_ref"], InstanceRef)) as instance:
        keep_connections(instance)
        runs, files = Runs(instance), LoadedFiles()
        files.note(_load(task))
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(lines, runs), daemon=True).start()
        threading.Thread(target=_watch_cancels, args=(runs,), daemon=True).start()
        _answer(answers, {"what": "ready"})
        while line := _next_line(lines, files, answers):
            run_id = json.loads(line)["run"]
            if changed := files.changed():
                _answer(answers, {"what": "refused", "why": f"{changed} has changed"})
                continue
            _answer(answers, {"what": "accepted", "run": run_id})
            if not runs.execute(run_id):
                os._exit(1)  # while this process lives, the run counts as going on, and nobody closes it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Dagster has mapped it to SIGINT
            files.note()
            megabytes = psutil.Process().memory_info().rss // 2**20
            _answer(answers, {"what": "done", "run": run_id, "megabytes": megabytes})


def _private_output() -> TextIO:
    """Return our standard output, and send what jobs print there to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, message: Mapping[str, Any]) -> None:
    try:
        answers.write(json.dumps(message) + "\n")
        answers.flush()
    except BrokenPipeError:  # the daemon is gone
        return


def _load(task: Mapping[str, Any]) -> list[str | Path]:
    """Import the code location and call its warm-up; returns the files that this names."""
    import_module(task["module"])
    if not task["warm_up"]:
        return []
    module, function = task["warm_up"].split(":")
    return list(getattr(import_module(module), function)() or [])


def _read(lines: "queue.SimpleQueue[str]", runs: Runs) -> None:
    """Read apart from the runs, so that the daemon's end is noticed during one."""
    for line in sys.stdin:
        lines.put(line)
    runs.leave()
    lines.put("")


def _next_line(lines: "queue.SimpleQueue[str]", files: LoadedFiles, answers: TextIO) -> str:
    """Wait for the next line, and say meanwhile when this process is out of date: it is replaced before a run comes."""
    while True:
        with suppress(queue.Empty):
            return lines.get(timeout=FILES_SECONDS)
        if changed := files.changed():
            _answer(answers, {"what": "stale", "why": f"{changed} has changed"})
            return lines.get()


def _watch_cancels(runs: Runs) -> None:
    while True:
        signal.sigwait({CANCEL_SIGNAL})
        runs.cancel_if_asked()


if __name__ == "__main__":
    main()
