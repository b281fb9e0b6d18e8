"""The process above the servers of `marketloom dev`: `python -m orchestration.commands.supervisor PLAN`.

It leads the process group of the servers and of everything that they start, and ends that group when one server ends,
or when standard input closes: that is `dev`, stopped or killed. Until the group has ended it holds the lease of the
embedded PostgreSQL, so that nobody stops the server below it, and the lock that it inherited. What is killed,
PostgreSQL too, is started again: the others watch positions meanwhile, and no person may be there to do it.
"""

import ctypes
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn

import psutil

from orchestration.postgres.embedded import EmbeddedPostgres
from trading.errors import MarketloomError

GRACE = 10.0  # seconds for servers to end by themselves; runs in progress are closed in that time
TICK = 0.1  # seconds between two looks
CHILD_LOOK, CHILD_ATTEMPTS = (
    2.0,
    3,
)  # seconds between two looks; requests for another child before all is stopped
POSTGRES_LOOK, POSTGRES_PAUSE = 2.0, 30.0  # seconds to the next look at PostgreSQL; after a start that failed
# Seconds before each start of one server that is killed; once more within RESTARTS_WITHIN, and all is stopped.
RESTART_PAUSES, RESTARTS_WITHIN = (0.0, 2.0, 5.0), 600.0
# What ends by itself so soon after such a start is started once more: PostgreSQL, killed with it, may not be back yet.
YOUNG_SECONDS = 60.0
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
    child: str = ""  # part of the command line of a child without which it answers nothing
    restore: list[str] = field(default_factory=list)  # the command that makes it start that child again


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
    lease: AbstractContextManager[EmbeddedPostgres | None] = (
        EmbeddedPostgres(Path(plan.home)) if plan.embedded else nullcontext()
    )
    with lease as postgres:
        try:
            _run(plan, Revival(postgres))
        except ServerEnded as ended:
            _tell(f"error: {ended}")
            return 1
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            end_group(os.getpgrp())
    return 0


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


class Revival:
    """Starts the embedded PostgreSQL again where it has ended below the servers: they wait for it."""

    def __init__(self, postgres: EmbeddedPostgres | None) -> None:
        self._postgres = postgres
        self._next = 0.0

    def look(self) -> None:
        """Look, unless the last look was a moment ago. What is done, or cannot be done, is printed."""
        if self._postgres is None or time.monotonic() < self._next:
            return
        pause = POSTGRES_LOOK
        try:
            if self._postgres.revive():
                _tell("PostgreSQL had ended; it was started again, nothing committed is lost")
        except MarketloomError as error:
            _tell(f"error: PostgreSQL has ended and does not start: {error}; it is tried again")
            pause = POSTGRES_PAUSE
        self._next = time.monotonic() + pause


class Children:
    """Sees to it that a server has the child that does its work: one that was killed is nothing to the server."""

    def __init__(self, server: Server, process: "subprocess.Popen[bytes]") -> None:
        self._server = server
        self._process = psutil.Process(process.pid)
        self._restoring: subprocess.Popen[bytes] | None = None
        self._attempts = 0
        self._next = 0.0

    def look(self) -> None:
        """Look, unless the last look was a moment ago. ServerEnded where the child does not come back."""
        if time.monotonic() < self._next or (self._restoring and self._restoring.poll() is None):
            return
        self._next = time.monotonic() + CHILD_LOOK
        if self._has_child():
            self._attempts = 0
            return
        name, log = self._server.name, self._server.log
        if self._attempts == CHILD_ATTEMPTS:
            raise ServerEnded(
                f"the {name} has lost its process and does not start another: everything was stopped, run "
                f"`marketloom dev` again; its log is {log}"
            )
        self._attempts += 1
        _tell(f"the {name} has lost its process; it is asked for another; its log is {log}")
        with open(log, "ab") as output:
            self._restoring = subprocess.Popen(
                self._server.restore,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent(),
            )

    def _has_child(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return any(self._does_its_work(each) for each in self._process.children())
        return True  # the server itself has ended, which is seen elsewhere

    def _does_its_work(self, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):  # a zombie has no command line
            return process.status() != psutil.STATUS_ZOMBIE and self._server.child in " ".join(
                process.cmdline()
            )
        return False


class Running:
    """A server and its process. One that a signal has ended is started again, unless it happens again and again.

    So is one that ends by itself just after that.

    The code server cannot: its socket and its own child would be in doubt.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.process = _start(server)
        self._restarts: list[float] = []
        self._due: float | None = None  # when it is started again
        self._restarted_at = -math.inf

    def look(self, *, may_restart: bool) -> None:
        """ServerEnded when it has ended, and is not started again."""
        code, server, now = self.process.poll(), self.server, time.monotonic()
        if code is None:
            return
        if self._due is None:
            self._restarts = [each for each in self._restarts if now - each < RESTARTS_WITHIN]
            by_itself = code >= 0 and now - self._restarted_at > YOUNG_SECONDS
            if by_itself or server.child or not may_restart or len(self._restarts) == len(RESTART_PAUSES):
                raise ServerEnded(_obituary(server, code))
            self._due = now + RESTART_PAUSES[len(self._restarts)]
            self._restarts.append(now)
        if now >= self._due:
            self._start_again(f"the {server.name} {how_it_ended(code)}", now)

    def _start_again(self, words: str, now: float) -> None:
        try:
            self.process, self._due, self._restarted_at = _start(self.server, "ab"), None, now
        except OSError as error:  # as where memory is short
            self._due = now + RESTART_PAUSES[-1]
            _tell(f"error: {words} and cannot be started: {error}; it is tried again")
        else:
            _tell(f"{words}; it was started again; its log is {self.server.log}")


def _run(plan: Plan, postgres: Revival) -> None:
    """Start the servers and watch them. Returns when standard input closes."""
    running: list[Running] = []
    for server in plan.servers:
        running.append(Running(server))
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
    children = [Children(each.server, each.process) for each in running if each.server.child]
    while not _parent_is_gone(running, may_restart=True):
        postgres.look()
        for each in children:
            each.look()


def _start(server: Server, mode: str = "wb") -> "subprocess.Popen[bytes]":
    Path(server.log).parent.mkdir(exist_ok=True)
    with open(server.log, mode) as log:
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


def _parent_is_gone(running: list[Running], *, may_restart: bool = False) -> bool:
    """Wait a moment for the end of standard input. ServerEnded when a server ends first."""
    readable, _, _ = select.select([sys.stdin.buffer], [], [], TICK)
    if readable:
        return True
    for each in running:
        each.look(may_restart=may_restart)
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
