"""From a candle on the bus to the committed decision: the fast lane beside stock Dagster, in one home.

Both decide with the same code on the same simulated candles. Stock Dagster has its own coordinator, launcher and sensor
intervals; its sensor is evaluated with every pass of the daemon, twice or more often than Dagster's default asks for.
"""

import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg
import yaml
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._serdes import serialize_value
from rich.console import Console

from benchmarks.row import Benchmark, Row, row
from orchestration.commands.demo import JobRunner
from orchestration.fast_lane.pool import Limits, WorkerPool
from orchestration.services import Services
from orchestration.settings import HOME
from orchestration.system import IN_PROCESS, System, dagster_instance, running_system
from sensors.decisions import decision_sensors
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair, midnight, next_month

MONTHS = [date(2023, month, 1) for month in range(7, 13)]  # of history
LANE, STOCK = "orchestration.definitions", "benchmarks.stock_location"
SINGLE, TOGETHER, STOCKS = 20, 8, 8  # candles that are counted
THOUSAND = 1000
WARM = 2  # candles before that
LIMIT = 120.0  # seconds for one decision
NEAR = (6.5, 8.5)  # seconds between two candles: the daemon is back at the sensor by then
FAR = (20.0, 45.0)  # a sensor's wait and more: the candle meets any phase of one, and the pause after it
FAR_SINGLE, FAR_TOGETHER = 4, 2  # candles that come so late
_DECIDED = "SELECT count(*) FROM trade_decisions WHERE receipt->>'candle_close_time' = %s"
STAGES = ("run created", "run launched", "run started", "step started", "decision committed")


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision on a candle: the seconds from the candle to each stage, and whether it orders something."""

    seconds: dict[str, float]
    has_intent: bool


class Market:
    """Lets candles close: they are stored, then announced, as the stream does it."""

    def __init__(self, services: Services, dsn: str) -> None:
        self._services = services
        self._dsn = dsn
        self._pairs = services.settings.market.pairs
        self._dataset = services.dataset
        self._begin(next_month(MONTHS[-1]))

    def _begin(self, month: date) -> None:
        self._month, self._closed = month, 0
        source, span = self._services.candle_source, (midnight(month), midnight(next_month(month)))
        self._candles = {pair: source.candles(pair, *span) for pair in self._pairs}

    def close_candle(self, pairs: Sequence[Pair]) -> datetime:
        """Store the next candle of all pairs and announce it for these; returns its close."""
        if self._closed == len(self._candles[pairs[0]]):
            self._begin(next_month(self._month))
        self._closed += 1
        for pair in self._pairs:
            self._services.candle_store.write(pair, self._month, self._candles[pair][: self._closed])
        close: datetime = self._candles[pairs[0]]["close_time"][self._closed - 1]
        for pair in pairs:
            event = candle_closed(self._dataset, pair, close)
            self._services.bus.publish(CANDLE_CLOSED, event.key, event.values)
        return close

    def decided(self, pairs: Sequence[Pair], close: datetime) -> bool:
        """Wait until the decisions on the candle are committed; False where one does not come in time."""
        until = time.monotonic() + LIMIT
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while time.monotonic() < until:
                found = connection.execute(_DECIDED, (close.isoformat(),)).fetchone()
                if found and found[0] >= len(pairs):
                    return True
                time.sleep(0.1)
        return False


def fast_lane() -> Iterator[Row]:
    with _world() as (system, _):
        market = Market(Services.current(), system.dsn)
        pairs = system.settings.market.pairs
        rng = random.Random(0)
        with _servers(system, LANE, "dagster"):
            single = _measure(market, system, [pairs[:1]] * (WARM + SINGLE), rng, FAR_SINGLE)
            together = _measure(market, system, [pairs] * (WARM + TOGETHER), rng, FAR_TOGETHER)
        with _servers(system, STOCK, "stock"):
            stock = _measure(market, system, [pairs[:1]] * (WARM + STOCKS), rng)
    yield from _rows(single, together, stock)


def fast_lane_thousand() -> Iterator[Row]:
    """Let one worker make a thousand decisions in a row: what it needs at the end, beside what it needed at first."""
    with _world() as (system, instance):
        market = Market(Services.current(), system.dsn)
        task = {
            "instance_ref": serialize_value(instance.get_ref()),
            "module": LANE,
            "warm_up": "orchestration.warm_up:warm_up",
        }
        pool = WorkerPool(task, Limits(1, 2 * THOUSAND, 10_000), lambda run_id, why: None)
        try:
            while not pool.has_room():
                time.sleep(0.1)
            process = psutil.Process(pool.facts()[0]["process"])
            seconds, needs = [], []
            for number in range(THOUSAND):
                seconds.append(_decide(market, instance, pool, system.settings.market.pairs[number % 3]))
                if number in (THOUSAND // 10 - 1, THOUSAND - 1):
                    needs.append((process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()))
        finally:
            pool.close()
    tenth = THOUSAND // 10
    first, last = statistics.median(seconds[:tenth]), statistics.median(seconds[-tenth:])
    for what, unit, now, then in (
        (f"seconds of a run, median of the last {tenth}", "s", last, first),
        ("resident memory of the worker", "MB", needs[1][0], needs[0][0]),
        ("open files of the worker", "", float(needs[1][1]), float(needs[0][1])),
        ("threads of the worker", "", float(needs[1][2]), float(needs[0][2])),
    ):
        yield row(
            "fast_lane_thousand",
            f"{what}, after {THOUSAND:,} decisions in one worker",
            now,
            unit,
            f"the same after {tenth}",
            then,
            target="<= 1.1 x peer",
            packages=("dagster", "psycopg"),
        )


def _decide(market: Market, instance: dg.DagsterInstance, pool: WorkerPool, pair: Pair) -> float:
    """Close a candle and let a worker decide on it; returns the seconds of the run."""
    market.close_candle([pair])
    repository = ReconstructableRepository.for_module(LANE, "defs", working_directory=os.getcwd())
    job = ReconstructableJob(repository, "decide")
    run = instance.create_run_for_job(
        job.get_definition(),
        job_code_origin=job.get_python_origin(),
        tags={"dagster/partition": pair.key},
    )
    began = time.perf_counter()
    with pool.reserve() as worker:
        assert worker is not None
        assert worker.take(run.run_id)
    while not pool.has_room():
        time.sleep(0.002)
    ended = instance.get_run_by_id(run.run_id)
    if ended is None or not ended.is_success:
        raise RuntimeError(f"a decision has failed: {ended}")
    return time.perf_counter() - began


@contextmanager
def _world() -> Iterator[tuple[System, dg.DagsterInstance]]:
    """Make a home with some months of candles."""
    home = Path(tempfile.mkdtemp(prefix="loom-"))
    before = dict(os.environ)
    os.environ[HOME] = str(home)
    try:
        with running_system() as system, dagster_instance(system.settings, IN_PROCESS) as instance:
            JobRunner(instance, Console(file=sys.stderr)).candles(system.settings.market.pairs, MONTHS)
            yield system, instance
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


def _rows(single: list[Decided], together: list[Decided], stock: list[Decided]) -> Iterator[Row]:
    peers = {"p50": _milliseconds(stock, 0.5), "p99": _milliseconds(stock, 0.99)}
    for what, found, targets in (
        ("one pair", single, {"p50": ">= 10 x peer; <= 400 ms", "p99": "<= 1000 ms"}),
        ("three pairs in the same moment", together, {"p50": ">= 10 x peer", "p99": "<= 1000 ms"}),
    ):
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            yield row(
                "fast_lane",
                f"candle on the bus to decision committed, {what}, {_counts(found)}: {_named(name, found)} "
                f"(medians since the candle, ms: {_medians(found)})",
                _milliseconds(found, share),
                "ms",
                f"stock sensor, queue and launcher, {_counts(stock)}: {_named(name, stock)} "
                f"(medians: {_medians(stock)})",
                peers[name],
                target=targets[name],
                packages=("dagster", "dagster-postgres", "psycopg"),
            )


def _counts(found: Sequence[Decided]) -> str:
    ordering = sum(each.has_intent for each in found)
    return f"{len(found)} decisions ({ordering} with an order intent, {len(found) - ordering} without)"


def _named(name: str, found: Sequence[Decided]) -> str:
    return f"{name}, the slowest" if name == "p99" and len(found) <= 100 else name


def _medians(found: Sequence[Decided]) -> str:
    return ", ".join(f"{stage} {_milliseconds(found, 0.5, stage):.0f}" for stage in STAGES)


def _milliseconds(found: Sequence[Decided], share: float, stage: str = STAGES[-1]) -> float:
    return quantile([each.seconds[stage] for each in found], share) * 1000


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of all does not exceed: of a few values the p99 is the slowest."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def distances(count: int, far: int, rng: random.Random) -> list[float]:
    """Draw the seconds before each candle; `far` of those that are counted come after a sensor has waited in vain."""
    late = rng.sample(range(WARM, count), far)
    return [rng.uniform(*(FAR if number in late else NEAR)) for number in range(count)]


def _measure(
    market: Market, system: System, candles: Sequence[Sequence[Pair]], rng: random.Random, far: int = 0
) -> list[Decided]:
    """Close one candle after the other; returns the decisions, oldest first, without the first few: the very first runs
    are asked for by the history."""
    closes = []
    for pairs, distance in zip(candles, distances(len(candles), far, rng), strict=True):
        time.sleep(distance)
        closes.append((pairs, market.close_candle(pairs)))
        if not market.decided(*closes[-1]):
            raise RuntimeError(f"no decision on {closes[-1]} within {LIMIT:.0f} s")
    time.sleep(5.0)  # until the last run has ended
    return [each for pairs, close in closes[WARM:] for each in _decisions(system, pairs, close)]


def _decisions(system: System, pairs: Sequence[Pair], close: datetime) -> Iterator[Decided]:
    with (
        psycopg.connect(system.dsn) as ours,
        psycopg.connect(os.environ["MARKETLOOM_DAGSTER_POSTGRES"].replace("+psycopg2", "")) as dagsters,
    ):
        for pair in pairs:
            (published,) = _one(
                ours,
                "SELECT extract(epoch FROM at) FROM bus_event WHERE topic = 'candle_closed' AND payload->>'pair' = %s "
                "AND payload->>'close_time' = %s",
                str(pair),
                close.isoformat(),
            )
            decided, has_intent = _one(
                ours,
                "SELECT extract(epoch FROM event.at), made.receipt->>'intent' IS NOT NULL "
                "FROM bus_event AS event JOIN trade_decisions AS made "
                "ON made.receipt->>'decision_id' = event.payload->>'decision_id' WHERE event.topic = 'decisions' "
                "AND made.receipt->>'pair' = %s AND made.receipt->>'candle_close_time' = %s",
                str(pair),
                close.isoformat(),
            )
            (run_id,) = _one(
                dagsters,
                "SELECT run_id FROM run_tags WHERE key = %s AND value = %s",
                f"marketloom/candle.{pair.key}",
                close.isoformat(),
            )
            events: dict[str, float] = {}
            for (text,) in dagsters.execute(
                "SELECT event FROM event_logs WHERE run_id = %s ORDER BY id", (run_id,)
            ):
                event = json.loads(text)
                kind = (event.get("dagster_event") or {}).get("event_type_value", "")
                events.setdefault(kind, event["timestamp"])
            times = (
                events["ASSET_MATERIALIZATION_PLANNED"], events["PIPELINE_STARTING"], events["PIPELINE_START"],
                events["STEP_START"], float(decided),
            )  # fmt: skip
            since = (each - float(published) for each in times)
            yield Decided(dict(zip(STAGES, since, strict=True)), has_intent)


def _one(connection: psycopg.Connection[Any], statement: str, *values: str) -> tuple[Any, ...]:
    found = connection.execute(statement.encode(), values).fetchone()
    assert found is not None, (statement, values)
    return found


@contextmanager
def _servers(system: System, module: str, folder: str) -> Iterator[None]:
    """Run a code server and a daemon with the sensors of the module switched on."""
    dagster_home = system.home / folder
    dagster_home.mkdir(exist_ok=True)
    if module == STOCK:
        values = yaml.safe_load((system.home / "dagster" / "dagster.yaml").read_text())
        for name in ("run_coordinator", "run_launcher", "sensors", "schedules"):
            del values[name]
        (dagster_home / "dagster.yaml").write_text(yaml.safe_dump(values))
    with tempfile.TemporaryDirectory(prefix="loom-") as sockets, ExitStack() as running:
        address, workspace = str(Path(sockets) / "code"), Path(sockets) / "workspace.yaml"
        server = {"grpc_server": {"socket": address, "location_name": "marketloom"}}
        workspace.write_text(json.dumps({"load_from": [server]}))
        environment = {**os.environ, "DAGSTER_HOME": str(dagster_home)}

        def start(*words: str) -> None:
            log = running.enter_context((system.home / f"{words[0]}-{folder}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env=environment, stdout=log, stderr=log, cwd=system.home
            )
            running.callback(_end, process)

        start(
            "dagster",
            "code-server",
            "start",
            "--socket",
            address,
            "-m",
            module,
            "--location-name",
            "marketloom",
        )
        while not Path(address).exists():
            time.sleep(0.1)
        names = ["decision_sensor_stock"]
        if module == LANE:
            names = [each.name for each in decision_sensors(system.settings.market.pairs)]
        for name in names:
            subprocess.run(
                [sys.executable, "-m", "dagster", "sensor", "start", name, "-w", str(workspace)],
                env=environment, cwd=system.home, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        start("dagster._daemon", "run", "--workspace", str(workspace))
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started."""
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    for each in psutil.wait_procs(below, timeout=30)[1]:
        each.kill()
    process.kill()
    process.wait()


BENCHMARKS: dict[str, Benchmark] = {"fast_lane": fast_lane, "fast_lane_thousand": fast_lane_thousand}
