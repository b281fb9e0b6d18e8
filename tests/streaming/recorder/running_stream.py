"""`marketloom stream` as a real process beside a sandbox, and the facts that it leaves (tests only)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg

from orchestration.system import POSTGRES
from tests.streaming.sandbox.running import Sandbox, sandbox
from trading.market import Pair
from trading.stores.postgres.stream import read_lease

ROOT = Path(__file__).parents[3]
PATIENCE = 180.0  # seconds that a fact may take on a busy machine; a test that waits longer has failed
ORIGIN = "sandbox"
COMMAND = (sys.executable, "-m", "orchestration.cli", "stream")


class Process(Protocol):
    """What is used of `subprocess.Popen`."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None: ...
    def send_signal(self, sig: int, /) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


@dataclass
class RunningStream:
    """One process. `start` it again after it ended: the home and the database are the same."""

    exchange: Sandbox
    home: Path
    dsn: str
    settings: Mapping[str, str] = field(default_factory=dict)  # MARKETLOOM__SECTION__KEY
    process: "Process | None" = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MARKETLOOM_HOME": str(self.home),
            "MARKETLOOM__MARKET__SOURCE": "sandbox",
            "MARKETLOOM__MARKET__TIMEFRAME": "1m",
            "MARKETLOOM__SANDBOX__PORT": self.exchange.url.rpartition(":")[2],
            "MARKETLOOM__STREAM__METRICS_PORT": "0",
            POSTGRES: self.dsn,
            **self.settings,
        }

    @property
    def log_file(self) -> Path:
        return self.home / "stream.log"

    def start(self, *, wait: bool = True) -> None:
        """Start the process; returns once it listens to the trades of every pair."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                COMMAND, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        if wait:
            self.until(self.is_live)

    def is_live(self) -> bool:
        """Whether every pair's trades are live, by the process's own words."""
        with suppress(httpx.HTTPError, LookupError):
            return all(pair["trades"] == "live" for pair in self.status()["pairs"].values())
        return False

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def until(self, fact: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Wait until the fact holds and return it; the process must not end meanwhile."""
        deadline = time.monotonic() + patience
        while not (found := fact()):
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the stream ended with {self.process.returncode}:\n{self.log_text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {patience} s: {fact}\n{self.log_text()}")
            time.sleep(0.1)
        return found

    # --- what it says

    @property
    def url(self) -> str:
        """Where the running process answers; LookupError before it does."""
        lease = read_lease(self.dsn, self.environment["MARKETLOOM__MARKET__SOURCE"])
        if lease is None or not lease.running or not lease.address:
            raise LookupError("no stream runs")
        return lease.address

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._get("status").raise_for_status().json()
        return found

    def metrics(self) -> str:
        return self._get("metrics").raise_for_status().text

    def health(self) -> httpx.Response:
        return self._get("health")

    def _get(self, path: str) -> httpx.Response:
        """Plain HTTP: loading all certificates for each question would take longer than the rest."""
        return httpx.get(f"{self.url}/{path}", timeout=10, verify=False)

    def log_text(self) -> str:
        return self.log_file.read_text()

    def log(self) -> list[dict[str, Any]]:
        """The log's lines, those that are JSON."""
        lines = []
        for line in self.log_text().splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    # --- what it has stored

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def published(self, topic: str, pair: Pair | None = None) -> list[dict[str, Any]]:
        """The messages of a topic on the outbox, in order."""
        rows = self.rows('SELECT key, payload FROM bus_event WHERE topic = %s ORDER BY "offset"', topic)
        return [payload for key, payload in rows if pair is None or key == pair.key]

    def trade_ids(self, pair: Pair) -> list[int]:
        return [each["trade_id"] for each in self.published("trades", pair)]

    def open_gaps(self, pair: Pair | None = None) -> list[tuple[Any, ...]]:
        rows = self.rows("SELECT pair, since, until, reason FROM market_gaps WHERE state = 'open'")
        return [row for row in rows if pair is None or row[0] in (str(pair), pair.key)]


@contextmanager
def running_stream(
    folder: Path,
    dsn: str,
    *,
    start: bool = True,
    settings: Mapping[str, str] | None = None,
    **sandbox_changes: Any,
) -> Iterator[RunningStream]:
    """Run a sandbox (its market stands still unless `speed` is given) and a stream of it until the block's end."""
    with sandbox(folder / "sandbox", **sandbox_changes) as exchange:
        made = RunningStream(exchange, folder / "home", dsn, dict(settings or {}))
        try:
            if start:
                made.start()
            yield made
        finally:
            if made.process is not None:
                made.kill()
