"""A long-running command below another one: started with what it needs, ended with everything that it started.

A supervisor process lies between: it ends its group when its standard input closes, that is when this process ends the
child, or ends itself, however that happens.
"""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestration.commands.supervisor import Plan, Server, end_group
from trading.errors import StoreUnreachable

READY = "ready"
SECONDS_TO_END = 60.0  # runs in progress and commits that are under way have time
COMMAND = "from orchestration.cli import main; main()"
MAX_LINES = 20  # of what the supervisor says


class Child:
    """A `marketloom` command that runs until it is closed."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raise StoreUnreachable with its last words when the command ended by itself."""
        if self._process.poll() is not None:
            self._reader.join(1.0)
            raise StoreUnreachable(f"{self._last_words()}; its log is {self._log}")

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until it serves; StoreUnreachable when it ends first, or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not self._ready.wait(0.1):
            self.check()
            if time.monotonic() > deadline:
                raise StoreUnreachable(
                    f"the {self._name} was not ready within {seconds:.0f} s: try again when the machine is less "
                    f"busy; its log is {self._log}"
                )

    def close(self) -> None:
        """End it and everything that it started; what it can make durable in time, it makes durable."""
        pipe = self._process.stdin
        assert pipe is not None
        if not pipe.closed:
            pipe.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end_group(self._process.pid)  # nobody else does where the supervisor was killed
        self._reader.join(1.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.strip() == READY:
                    self._ready.set()
                else:
                    self._lines.append(line.strip())

    def _last_words(self) -> str:
        words = " ".join(self._lines).removeprefix("error: ")
        return words.partition(": everything was stopped")[0] or f"the {self._name} ended"


@contextmanager
def running_command(
    name: str,
    arguments: Sequence[str],
    ready: tuple[str, int],
    *,
    home: Path,
    environment: Mapping[str, str],
    patience: float,
) -> Iterator[Child]:
    """Run `marketloom ARGUMENTS` until the end of the block; it is ready when `ready` takes connections.

    `ready` is host and port. Its output goes to logs/NAME.log in the home.
    """
    log = home / "logs" / f"{name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    server = Server(name, [sys.executable, "-c", COMMAND, *arguments], str(log), ready)
    plan = Plan(home=str(home), embedded=True, servers=[server], startup_timeout=patience, announcement=READY)
    child = Child(
        name,
        subprocess.Popen(
            [sys.executable, "-m", "orchestration.commands.supervisor", plan.as_json()],
            cwd=home,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ),
        log,
    )
    try:
        child.wait_until_ready(patience)
        yield child
    finally:
        child.close()


def child_environment(dropped: Sequence[str]) -> dict[str, str]:
    """Return this process's environment without these variables."""
    return {name: value for name, value in os.environ.items() if name not in dropped}
