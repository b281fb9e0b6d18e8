"""A home folder for one measurement, and what a person starts in it: commands, the UI, and runs in the UI."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psutil
from dagster_graphql import DagsterGraphQLClient

from benchmarks.process_tree import watch_memory

COMMAND = str(Path(sys.executable).parent / "marketloom")
LIMIT = 1800  # seconds that anything may take
GRACE = 20  # seconds to end after Ctrl-C
LOOK = 0.05  # seconds between two questions
Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    mebibytes: float


@dataclass(frozen=True, slots=True)
class UserHome:
    """A home folder, and settings from the environment that hold for everything that is started in it."""

    folder: Path
    settings: Words = field(default_factory=dict)

    def run(self, *words: str) -> Cost:
        """Run `marketloom WORDS` to its end."""
        return self.run_program([COMMAND, *words])

    def run_program(self, command: list[str]) -> Cost:
        """Run any program to its end. RuntimeError with its last words when it fails."""
        with tempfile.TemporaryFile("w+") as words:
            began = time.perf_counter()
            process = subprocess.Popen(
                command, env=self.environment(), stdout=words, stderr=subprocess.STDOUT
            )
            with _ended(process), watch_memory(lambda: self.processes(process)) as peak:
                code = process.wait(timeout=LIMIT)
                seconds = time.perf_counter() - began
            words.seek(0)
            if code:
                raise RuntimeError(f"{' '.join(command)} ended with {code}: {words.read()[-1000:]}")
        return Cost(seconds, peak.mebibytes)

    @contextmanager
    def serve(self, more: Words) -> Iterator["ServedUi"]:
        """Run `marketloom dev` until the block ends."""
        port = free_port()
        environment = {"MARKETLOOM__DAGSTER__PORT": str(port), **more}
        with self.serve_program([COMMAND, "dev"], f"http://127.0.0.1:{port}/", environment) as (
            process,
            ready,
        ):
            yield ServedUi(self, process, port, ready)

    @contextmanager
    def serve_program(
        self, command: list[str], page: str, more: Words | None = None
    ) -> Iterator[tuple["subprocess.Popen[Any]", Cost]]:
        """Run a server until the block ends; the cost is that of its start, to the first answer with the page."""
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**self.environment(), **(more or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with _ended(process):
            with watch_memory(lambda: self.processes(process)) as peak:
                _wait_for_page(process, page)
                seconds = time.perf_counter() - began
            yield process, Cost(seconds, peak.mebibytes)

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARKETLOOM_")}
        return {**inherited, "MARKETLOOM_HOME": str(self.folder), **self.settings}

    def processes(self, process: "subprocess.Popen[Any]") -> list[int]:
        """Return the process and the home's PostgreSQL, which detaches itself from whoever starts it."""
        with suppress(OSError, ValueError):
            server = int((self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
            return [process.pid, server]
        return [process.pid]


@dataclass(frozen=True, slots=True)
class ServedUi:
    """A running `marketloom dev`."""

    home: UserHome
    process: "subprocess.Popen[bytes]"
    port: int
    ready: Cost  # from the command to the first page

    def launch(self, job: str, asset: str, config: Mapping[str, Any] | None = None, **partition: str) -> Cost:
        """Launch a job as a click does: `key`, or `first` and `last` of a range. The memory is that of everything."""
        client = DagsterGraphQLClient("127.0.0.1", port_number=self.port)
        with watch_memory(lambda: self.home.processes(self.process)) as peak:
            began = time.perf_counter()
            run = client.submit_job_execution(
                job, run_config=config or {}, tags=_partition_tags(**partition), asset_selection=[asset]
            )
            while (status := client.get_run_status(run)) not in ENDED:
                if time.perf_counter() - began > LIMIT:
                    raise RuntimeError(f"{job} took longer than {LIMIT} s")
                time.sleep(LOOK)
            seconds = time.perf_counter() - began
        if status is not dg.DagsterRunStatus.SUCCESS:
            raise RuntimeError(f"{job} ended as {status.value}")
        return Cost(seconds, peak.mebibytes)


ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def _partition_tags(key: str = "", first: str = "", last: str = "") -> dict[str, str]:
    if key:
        return {"dagster/partition": key}
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


@contextmanager
def user_home(settings: Words | None = None) -> Iterator[UserHome]:
    """Make a home with a short path, in which PostgreSQL's socket fits; it is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root the server runs as another user
        yield UserHome(Path(folder) / "home", settings or {})


def _wait_for_page(process: "subprocess.Popen[Any]", address: str) -> None:
    """Return when the server answers with a page. RuntimeError when it ends first, or takes too long."""
    deadline = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(address, timeout=60).is_success:
                return
        time.sleep(LOOK)
    raise RuntimeError(f"{address} never answered; the server's exit code is {process.poll()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _ended(process: "subprocess.Popen[Any]") -> Iterator[None]:
    """End the process with the block, as Ctrl-C would; one that does not listen is killed with all that it started."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
