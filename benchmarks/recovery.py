"""kill -9 of the daemon, of all warm workers, of the stream and of PostgreSQL: seconds until the next decision.

`marketloom dev` decides on candles of a sandbox whose market stands still, but for the candle that is measured: it
closes in the moment of the kill. Beside it the same without a kill, in the same run.
"""

import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import psycopg
from rich.console import Console

from benchmarks.row import Benchmark, Row, row
from orchestration.commands.child import Child, child_environment, running_command
from orchestration.commands.live_demo import LiveDemo
from orchestration.commands.live_demo_home import LiveDemoHome, live_demo_home
from orchestration.commands.sandbox_truth import SandboxTruth
from orchestration.settings import HOME
from orchestration.system import DAGSTER_POSTGRES, POSTGRES, System, running_system
from trading.errors import StoreUnreachable
from trading.market import EPOCH

UNDISTURBED, KILLS = 5, 3  # candles that are counted
LIMIT, START_LIMIT = 180.0, 300.0  # seconds for one recovery; for a command to serve
APART = 6.5  # seconds before a candle, and up to 2 more: the daemon is back at its sensors by then
LOOK = 0.02
SERVICES = ("the stream", "all warm workers", "PostgreSQL", "the daemon")
_WORKER, _DAEMON, _STREAM = (
    "orchestration.fast_lane.worker",
    "dagster._daemon run",
    "orchestration.cli stream",
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """From the close of a candle until one pair, and every pair, was decided on."""

    first: float
    all: float


class Site:
    """The running system: its candles, its processes, and `marketloom dev`, which is started again when it ends."""

    def __init__(self, demo: LiveDemoHome, system: System) -> None:
        self._demo, self._dsn = demo, system.dsn
        self._truth = SandboxTruth(demo.settings.sandbox.url)
        self._pairs = len(demo.market.pairs)
        self._candle = demo.settings.market.timeframe.duration
        self._stack = ExitStack()
        self.dev: Child | None = None

    def start(self) -> Child:
        """Run `marketloom dev`, and wait until it serves."""
        self._stack.close()
        where = ("127.0.0.1", self._demo.settings.dagster.port)
        self.dev = self._stack.enter_context(command(self._demo, "marketloom dev", ["dev"], where))
        return self.dev

    def close(self) -> None:
        self._stack.close()

    def close_candle(self, kill: Callable[[], None] = lambda: None) -> Seconds:
        """Kill, let a candle close in the same moment, and wait until every pair is decided on."""
        time.sleep(APART + 2 * random.random())
        kill()
        began, decided = time.perf_counter(), []
        self._advance()
        close = self._newest_close()
        while len(decided) < self._pairs:
            seconds = time.perf_counter() - began
            decided += [seconds] * (self._decisions(close) - len(decided))
            if seconds > LIMIT:
                raise RuntimeError(f"no decision on {close} within {LIMIT:.0f} s")
            if self.dev is not None and self._has_ended(self.dev):
                self.start()
            time.sleep(LOOK)
        return Seconds(decided[0], decided[-1])

    def _advance(self) -> None:
        headers = {"X-Sandbox-Admin": "benchmark"}
        url = f"{self._demo.settings.sandbox.url}/admin/advance"
        httpx.post(
            url, json={"seconds": self._candle.total_seconds()}, headers=headers, timeout=30
        ).raise_for_status()

    def _newest_close(self) -> datetime:
        now = self._truth.market_now()
        return now - (now - EPOCH) % self._candle

    def _decisions(self, close: datetime) -> int:
        """Return how many decisions on the candle are committed; none while PostgreSQL is away."""
        query = "SELECT count(*) FROM trade_decisions WHERE receipt->>'candle_close_time' = %s"
        try:
            with psycopg.connect(self._dsn, connect_timeout=5) as connection:
                found = connection.execute(query, (close.isoformat(),)).fetchone()
        except psycopg.Error:
            return 0
        return int(found[0]) if found else 0

    def _has_ended(self, dev: Child) -> bool:
        try:
            dev.check()
        except StoreUnreachable:
            return True
        return False

    def killing(self, service: str) -> Callable[[], None]:
        return killing(service, self._demo.home)


def killing(service: str, home: Path) -> Callable[[], None]:
    """Return what kills the service, whose processes are looked up in that moment; RuntimeError where none ran."""

    def kill() -> None:
        if not _send_kill(_processes(service, home)):
            raise RuntimeError(f"{service} does not run: nothing was killed")

    return kill


def _processes(service: str, home: Path) -> list[psutil.Process]:
    if service == "PostgreSQL":
        pid = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]
    words = {"the stream": _STREAM, "all warm workers": _WORKER, "the daemon": _DAEMON}[service]
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [each for each in children if words in _command_line(each)]


def _send_kill(processes: Iterable[psutil.Process]) -> int:
    """Kill them, and return how many still ran."""
    killed = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                process.send_signal(signal.SIGKILL)
                killed += 1
    return killed


def _command_line(process: psutil.Process) -> str:
    with suppress(psutil.Error):  # it has just ended
        return " ".join(process.cmdline())
    return ""


def recovery() -> Iterator[Row]:
    with _site() as site:
        undisturbed = [site.close_candle() for _ in range(1 + UNDISTURBED)][1:]
        killed: dict[str, list[Seconds]] = {}
        for service in SERVICES:
            for _ in range(KILLS):
                killed.setdefault(service, []).append(site.close_candle(site.killing(service)))
                site.close_candle()  # all is well again before the next kill
    floor = statistics.median(each.first for each in undisturbed)
    for service, found in killed.items():
        first = [each.first for each in found]
        listed = ", ".join(f"{each:.1f}" for each in first)
        everywhere = statistics.median(each.all for each in found)
        yield row(
            "recovery",
            f"kill -9 of {service}, a candle closes in that moment: until the next decision is committed, median of "
            f"{listed}; until all pairs are decided on {everywhere:.1f}",
            statistics.median(first),
            "s",
            f"the same without a kill, median of {len(undisturbed)}",
            floor,
            target="<= 60 s",
            packages=("dagster", "psycopg"),
        )


def command(
    demo: LiveDemoHome, name: str, words: list[str], ready: tuple[str, int]
) -> AbstractContextManager[Child]:
    """Return the command as a context, with a lease of its own on PostgreSQL."""
    environment = child_environment((POSTGRES, DAGSTER_POSTGRES, "DAGSTER_HOME"))
    return running_command(name, words, ready, home=demo.home, environment=environment, patience=START_LIMIT)


@contextmanager
def _site() -> Iterator[Site]:
    """Open the exchange and the system of a live demo in a home of its own; every pair has been decided on once."""
    before = dict(os.environ)
    out = Console(file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        os.environ[HOME] = folder
        try:
            with live_demo_home(None) as demo, running_system() as system, ExitStack() as running:
                where = (demo.settings.sandbox.host, demo.settings.sandbox.port)
                running.enter_context(command(demo, "sandbox", ["sandbox"], where))
                live, site = LiveDemo(demo, system, out), Site(demo, system)
                running.callback(site.close)
                live.backfill()
                dev = site.start()
                live.wait_for_stream(dev)
                live.decide_once(dev)
                yield site
        finally:
            os.environ.clear()
            os.environ.update(before)


BENCHMARKS: dict[str, Benchmark] = {"recovery": recovery}
