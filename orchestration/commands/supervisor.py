"""The process above the servers of `marketloom dev`: `python -m orchestration.commands.supervisor PLAN`.

It leads the process group of the servers and of everything that they start, and ends that group when one server ends,
or when standard input closes: that is `dev`, stopped or killed. Until the group has ended it holds the lease of the
embedded PostgreSQL, so that nobody stops the server below it, and the lock that it inherited.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from orchestration.postgres.embedded import EmbeddedPostgres

GRACE = 10.0  # seconds for servers to end by themselves; runs in progress are closed in that time
TICK = 0.1  # seconds between two looks
PR_SET_PDEATHSIG = 1  # Linux, <sys/prctl.h>
WAITING = ("dagster code-server", "dagster api grpc", "multiprocessing.resource_tracker")
MAX_QUOTED = 300  # characters of a server's own last words


@dataclass(frozen=True, slots=True)
class Server:
    """`ready` is the address that accepts connections once it serves: a socket's path, or host and port."""

    name: str
    command: list[str]
    log: str
    ready: str | tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, in this order, each after the one before is ready."""

    home: str
    embedded: bool  # PostgreSQL is the home's own
    servers: list[Server]
    startup_timeout: float
    announcement: str  # printed when all are ready

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        values = json.loads(text)
        return cls(**{**values, "servers": [Server(**each) for each in values["servers"]]})


class ServerEnded(Exception):
    """A server ended, or is not ready in time; the message is one sentence for a person."""


def main(arguments: list[str]) -> int:
    """Run the plan until standard input closes: 0; or until a server ends: 1 and a sentence about it."""
    plan = Plan.from_json(arguments[0])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # `dev` hears Ctrl-C and closes standard input
    signal.signal(signal.SIGTERM, _leave)
    lease: AbstractContextManager[object] = (
        EmbeddedPostgres(Path(plan.home)) if plan.embedded else nullcontext()
    )
    with lease:
        try:
            _run(plan)
        except ServerEnded as ended:
            _tell(f"error: {ended}")
            return 1
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            end_group(os.getpgrp())
    return 0


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _run(plan: Plan) -> None:
    """Start the servers and watch them. Returns when standard input closes."""
    running: list[tuple[Server, subprocess.Popen[bytes]]] = []
    for server in plan.servers:
        running.append((server, _start(server)))
        deadline = time.monotonic() + plan.startup_timeout
        while not _accepts(server.ready):
            if _parent_is_gone(running):
                return
            if time.monotonic() > deadline:
                raise ServerEnded(
                    f"the {server.name} was not ready within {plan.startup_timeout:.0f} s: try again when the "
                    f"machine is less busy, or raise local_startup_timeout in orchestration/dagster.yaml; "
                    f"its log is {server.log}"
                )
    _tell(plan.announcement)
    while not _parent_is_gone(running):
        pass


def _start(server: Server) -> subprocess.Popen[bytes]:
    Path(server.log).parent.mkdir(exist_ok=True)
    with open(server.log, "wb") as log:
        return subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent(),
        )


def end_with_parent() -> Callable[[], object] | None:
    """Return what makes Linux end a child when this process is killed; elsewhere `dev` alone sees to it."""
    if sys.platform != "linux":
        return None
    set_option = ctypes.CDLL(None).prctl  # loaded before the fork: the child must not import anything
    return lambda: set_option(PR_SET_PDEATHSIG, signal.SIGTERM)


def _parent_is_gone(running: list[tuple[Server, subprocess.Popen[bytes]]]) -> bool:
    """Wait a moment for the end of standard input. ServerEnded when a server ends first."""
    readable, _, _ = select.select([sys.stdin.buffer], [], [], TICK)
    if readable:
        return True
    for server, process in running:
        if (code := process.poll()) is not None:
            raise ServerEnded(_obituary(server, code))
    return False


def _obituary(server: Server, code: int) -> str:
    # One that was killed had no time for last words.
    words = _last_line(Path(server.log)) if code >= 0 else ""
    quoted = f" ({words})" if words else ""
    return (
        f"the {server.name} {how_it_ended(code)}{quoted}: everything was stopped, run `marketloom dev` again; "
        f"its log is {server.log}"
    )


def how_it_ended(code: int) -> str:
    """Describe the exit code of a child process."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:MAX_QUOTED] if lines else ""


def _accepts(address: str | tuple[str, int] | None) -> bool:
    if address is None:
        return True
    with suppress(OSError):
        if not isinstance(address, str):
            host, port = address  # a list after its way through JSON
            socket.create_connection((host, port), timeout=1).close()
            return True
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address)
            return True
    return False


def end_group(group: int) -> None:
    """End every other process of the group: ask, then kill what has not ended by itself.

    Runs and servers with work to finish get time for it. What only waits for others is killed once it waits alone.
    """
    asked: set[psutil.Process] = set()
    deadline = time.monotonic() + GRACE
    while members := list(_members(group)):
        late = time.monotonic() > deadline or all(map(_only_waits, members))
        for process in members:
            if late or process not in asked:
                asked.add(process)
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(TICK)


def _members(group: int) -> Iterator[psutil.Process]:
    for process_id in psutil.pids():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process_id) == group and process_id != os.getpid():
                process = psutil.Process(process_id)
                if process.status() != psutil.STATUS_ZOMBIE:
                    yield process


def _only_waits(process: psutil.Process) -> bool:
    """Return whether this is a code server, which never ends by a signal (Dagster 1.13), or its resource tracker."""
    with suppress(psutil.Error):
        words = " ".join(process.cmdline())
        return any(name in words for name in WAITING)
    return True


def _tell(message: str) -> None:
    with suppress(OSError):  # whoever read this may be gone
        print(message, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
