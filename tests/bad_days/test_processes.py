"""Bad days of our own processes: PostgreSQL is lost, a worker is killed, two decide on one candle at once."""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.remote_origin import RemoteJobOrigin
from dagster._core.run_coordinator import SubmitRunContext

from ml.decision.execute import ExecutedDecision, execute_decision
from orchestration.fast_lane import LANE
from orchestration.postgres.cluster import Cluster
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.bad_days.trading_day import PAIR, TradingDay, trading_day
from tests.orchestration.fast_lane.lane import ORIGIN, Lane, open_lane
from trading.execution import OrderExecutor
from trading.execution.checkpoints import Checkpoint
from trading.orders import OrderStatus
from trading.stores.postgres import migrate

GRAPH = "orchestration.definitions"


# --- PostgreSQL


class KilledAt:
    """Kills every process of the server when a step of an order's way is reached for the first time."""

    def __init__(self, step: Checkpoint, home: Path) -> None:
        self.step, self.home, self.struck = step, home, False

    def __call__(self, name: str) -> None:
        if name == self.step and not self.struck:
            self.struck = True
            for process in Cluster(self.home.resolve() / "postgres").processes():
                process.kill()


@pytest.fixture
def server() -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """A server of the test's own, in a folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="loom-") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres(Path(home)) as running:
            migrate(running.dsn)
            yield running, Path(home)


@pytest.mark.parametrize(
    ("step", "minutes", "ends"),
    [
        (Checkpoint.BEFORE_SENT, 1, OrderStatus.FILLED),
        (Checkpoint.BEFORE_SENT, 3, OrderStatus.EXPIRED),  # beyond `candle_age`: never sent
        (Checkpoint.SUBMITTED, 1, OrderStatus.FILLED),
        (Checkpoint.SUBMITTED, 3, OrderStatus.FILLED),  # it was at the exchange in time
    ],
)
def test_postgresql_that_is_lost_for_minutes_in_mid_decision_costs_a_run_and_no_order(
    server: tuple[EmbeddedPostgres, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: Checkpoint,
    minutes: int,
    ends: OrderStatus,
) -> None:
    postgres, home = server
    killed = KilledAt(step, home)
    monkeypatch.setattr("orchestration.services.OrderExecutor", partial(OrderExecutor, checkpoint=killed))
    with trading_day(tmp_path, postgres.dsn, monkeypatch) as day:
        day.open()
        assert not day.run()
        assert killed.struck
        bought = 1 if step is Checkpoint.SUBMITTED else 0
        assert day.entries_at_exchange() == bought
        for _ in range(2):
            day.keep()  # while it is away
        day.close_candle(minutes)
        assert postgres.revive()
        day.keep_until(lambda: (order := day.newest().order) is not None and order.status is ends)
        assert day.entries_at_exchange() == (ends is OrderStatus.FILLED)
        day.note_failures()
        assert "connection" in day.told("failed run")[0].text
        told = [(each.severity, "PostgreSQL does not answer" in each.text) for each in day.told("account")]
        assert ("warning", True) in told
        assert told[-1] == ("info", False)
        day.is_in_order()
        day.ends_well()


# --- a worker


def submit(lane: Lane) -> str:
    """Create and submit a run of a decision, as the daemon does for a sensor."""
    repository = ReconstructableRepository.for_module(GRAPH, "defs", working_directory=os.getcwd())
    job = ReconstructableJob(repository._replace(executable_path=sys.executable), "decide")
    run = lane.instance.create_run_for_job(
        job.get_definition(),
        job_code_origin=job.get_python_origin(),
        remote_job_origin=RemoteJobOrigin(ORIGIN, "decide"),
        tags={**LANE, "dagster/partition": PAIR.key},
    )
    lane.instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
    return run.run_id


def test_a_worker_that_is_killed_between_exchange_and_ledger_costs_a_run_and_no_order(
    day: TradingDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day.open()
    for method in ("add_order", "AddOrder"):
        day.exchange.arm("slow_ack", method=method, seconds=600.0)
    folder = tmp_path / "lane"
    folder.mkdir()
    with open_lane(folder, monkeypatch, module=GRAPH, warm_up="") as lane:
        lane.instance.add_dynamic_partitions("pair", [PAIR.key])
        [worker] = lane.until_ready()
        run_id = submit(lane)
        lane.until(day.orders_at_exchange)
        os.kill(worker, signal.SIGKILL)
        assert lane.until_ended(run_id) is dg.DagsterRunStatus.FAILURE
        day.note_failed_run(lane.instance, run_id)
    assert "its warm worker ended before the run did" in day.told("failed run")[0].text
    day.exchange.disarm()
    day.keep_until(lambda: day.newest().is_filled())
    day.is_in_order()
    day.ends_well()


# --- two who decide


def test_two_who_decide_on_one_candle_at_once_place_one_order(day: TradingDay) -> None:
    """Two threads, each with services of its own: what keeps them apart is in PostgreSQL, as between processes."""
    day.open()
    together, done = threading.Barrier(2), list[ExecutedDecision]()

    def decide() -> None:
        services = day.home.services
        reader = services.input_reader
        clock = reader.read_clock()
        together.wait(60)
        done.append(
            execute_decision(PAIR, clock, reader, services.rules, services.journal, services.order_executor)
        )

    threads = [threading.Thread(target=decide) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert sorted(each.repeated for each in done) == [False, True]
    assert len(day.services.journal.decisions(day.account)) == 1
    assert day.entries_at_exchange() == 1
    day.is_in_order()
    day.ends_well()
