"""A home folder with settings so small that the whole graph runs in seconds, and the command as a person runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.processes import command_line, is_alive

PROJECT = Path(__file__).parents[2]
COMMAND = [str(Path(sys.executable).parent / "marketloom")]
SMALL = {
    r"(?m)^start = 2023-01-01": "start = 2024-01-01",
    r"(?m)^end   = 2024-10-01": "end   = 2024-06-11",
    r"(?m)^total_timesteps .*": "total_timesteps = 4096",
    r"(?m)^environments .*": "environments = 16",
    r"(?m)^rollout_steps .*": "rollout_steps = 64",
    r"(?m)^batch_size .*": "batch_size = 512",
    r"(?m)^episode_candles .*": "episode_candles = 48",
    r"(?m)^train_months .*": "train_months = 2",
    r"(?m)^minimum_folds .*": "minimum_folds = 1",
}


@dataclass(frozen=True, slots=True)
class Finished:
    code: int
    output: str  # standard output
    errors: str  # standard error

    @property
    def text(self) -> str:
        return " ".join((self.output + self.errors).split())

    def json(self) -> Any:
        return json.loads(self.output)


class DemoHome:
    """One home; `run` is what a person types."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        self._started: list[subprocess.Popen[str]] = []
        self.config = folder / "marketloom.toml"
        text = (PROJECT / "marketloom.toml").read_text(encoding="utf-8")
        for pattern, replacement in SMALL.items():
            text, count = re.subn(pattern, replacement, text)
            assert count == 1, pattern
        self.config.write_text(text, encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARKETLOOM_")}
        return {
            **inherited,
            "MARKETLOOM_HOME": str(self.folder),
            "MARKETLOOM_CONFIG": str(self.config),
            **more,
        }

    def run(self, *arguments: str, **more: str) -> Finished:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **more: str) -> "Started":
        return self._start([*COMMAND, *arguments], more)

    def start_python(self, code: str) -> "Started":
        """Run code as `python` does, and go on meanwhile."""
        return self._start([sys.executable, "-c", _program(code)], {})

    def _start(self, command: list[str], more: Mapping[str, str]) -> "Started":
        process = subprocess.Popen(
            command,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return Started(process)

    def close(self) -> None:
        """End whatever a test that failed left running, so that no later test sees it."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for started in self._started:
            with started:  # waits, and closes the pipes
                started.kill()

    def python(self, code: str) -> Any:
        """Run code inside the system (PostgreSQL up, `services` and `instance` at hand); return the last JSON line."""
        done = subprocess.run(
            [sys.executable, "-c", _program(code)],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def processes(self) -> list[psutil.Process]:
        """Whatever still runs with this home in its command line or environment."""
        return [process for process in psutil.process_iter() if _concerns(process, str(self.folder))]


def _program(code: str) -> str:
    return PROLOGUE + "\n".join(f"    {line}" for line in code.strip().splitlines())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


PROLOGUE = """
import json
from orchestration.services import Services
from orchestration.system import dagster_instance, running_system
with running_system() as system:
    services, instance = Services.current(), dagster_instance(system.settings)
"""


@dataclass(frozen=True, slots=True)
class Started:
    process: subprocess.Popen[str]

    def wait_for(self, words: str) -> str:
        """Read on until a line contains `words`; fails when the command ends first."""
        lines = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"never printed {words!r}: {''.join(lines)}")

    def interrupt(self) -> None:
        """Ctrl-C at a terminal reaches the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Finished:
        output, _ = self.process.communicate(timeout=600)
        return Finished(self.process.returncode, output, "")


def _concerns(process: psutil.Process, home: str) -> bool:
    try:
        return is_alive(process) and (
            home in command_line(process) or process.environ().get("MARKETLOOM_HOME") == home
        )
    except psutil.Error:
        return False


@contextmanager
def demo_home() -> Iterator[DemoHome]:
    """In a folder with a short path: PostgreSQL's socket lies in it."""
    with tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the server runs as another user when the tests run as root
        home = DemoHome(Path(folder))
        try:
            yield home
        finally:
            home.close()


def receipts(home: DemoHome) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = home.python(
        "print(json.dumps(services.journal.decisions(services.account.name, limit=1000)))"
    )
    return found
