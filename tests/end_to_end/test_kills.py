"""kill -9 of everything that runs, in one home: nothing stays behind and the next run works without manual cleaning."""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.end_to_end.demo_home import DemoHome, Started, demo_home, free_port
from tests.processes import command_line

PATIENCE = (
    300.0  # seconds for what must come by itself; how fast it comes `make bench ONLY=recovery` measures
)
ENDLESS = {"MARKETLOOM__POLICY__TOTAL_TIMESTEPS": "100000000"}
FOLDS = ["2024-05-01|BTC-USDT", "2024-06-01|BTC-USDT"]

JOBS = """
import os, time
from datetime import date
import dagster as dg
from rich.console import Console
from trading.market import Pair
from orchestration.commands.demo import JobRunner
runner = JobRunner(instance, Console(stderr=True))
"""
HISTORY = "runner.history(services.settings.market.pairs, [date(2024, month, 1) for month in (3, 4, 5, 6)])"
# It has the slot of the pool, the account's lease, and an order that is committed and not sent.
DECISION_THAT_WAITS = """
from decimal import Decimal
from trading.execution import Execution
from trading.orders import OrderIntent, Side
journal = services.journal
class DiesWhileItSends:
    def carry_out(self, account, at):
        if not (decided := journal.decisions(account, limit=1)):
            return Execution()  # before the decision
        pair = Pair("BTC", "USDT")
        intent = OrderIntent("left behind", "left behind", account, pair, Side.BUY, Decimal("0.001"), reduces=False,
            stop_loss=None, take_profit=None, created_at=at)
        journal.record_decision({**decided[0], "decision_id": "left behind"}, intent)
        assert journal.acquire_lease(account, "the killed one", 15.0)
        print("holds its place", flush=True)
        time.sleep(600)
job = runner._defs.resolve_job_def("decide")
job.execute_in_process(instance=instance, partition_key="BTC-USDT", tags={"marketloom/pid": str(os.getpid())},
    resources={"executor": DiesWhileItSends()})
"""
DECIDES = """
runner._run("decide", key="BTC-USDT")
print(json.dumps(services.journal.order("left behind").status.value))
"""
EVERYTHING = """
small = {"ops": {"ppo_policy": {"config": {"total_timesteps": 4096}}}}
runner._run("learning", key="2024-05-01|BTC-USDT", config=small)
runner._run("decide", key="BTC-USDT")
unfinished = [run.job_name for run in instance.get_runs() if not run.is_finished]
print(json.dumps(unfinished))
"""


@pytest.fixture(scope="module")
def home() -> Iterator[DemoHome]:
    with demo_home() as made:
        made.python(JOBS + HISTORY + "\nprint(0)")
        yield made


def wait_for(fact: Callable[[], Any], limit: float = PATIENCE) -> Any:
    """Return the fact once it is true."""
    deadline = time.monotonic() + limit
    while not (found := fact()):
        assert time.monotonic() < deadline, f"not within {limit:.0f} s"
        time.sleep(0.05)
    return found


def processes(home: DemoHome, words: str) -> list[psutil.Process]:
    return [each for each in home.processes() if words in command_line(each)]


def serve(home: DemoHome) -> tuple[Started, str]:
    port = free_port()
    served = home.start("dev", MARKETLOOM__DAGSTER__PORT=str(port), **ENDLESS)
    served.wait_for("open http")
    return served, f"http://127.0.0.1:{port}/graphql"


def train_in_a_back_fill(address: str) -> None:
    import httpx

    query = """mutation Train($parameters: LaunchBackfillParams!) {
        launchPartitionBackfill(backfillParams: $parameters) { __typename } }"""
    parameters = {"assetSelection": [{"path": ["ppo_policy"]}], "partitionNames": FOLDS}
    body = {"query": query, "variables": {"parameters": parameters}}
    answer = httpx.post(address, json=body, timeout=60).json()
    assert answer["data"]["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", answer


def kill_a_run_of_the_back_fill(home: DemoHome) -> None:
    """Its training dies with it, and the daemon gives its place to the next run of the back-fill."""
    [training] = wait_for(lambda: processes(home, "-m ml.learning.train_process"))
    training.parent().kill()
    training.wait(timeout=PATIENCE)
    wait_for(lambda: processes(home, "-m ml.learning.train_process"))


def test_a_decision_that_is_killed_while_it_sends_holds_up_the_next_one_for_seconds(home: DemoHome) -> None:
    killed = home.start_python(JOBS + DECISION_THAT_WAITS)
    killed.wait_for("holds its place")
    killed.process.kill()
    status = home.python(JOBS + DECIDES)
    assert status not in ("intended", "sent", "unknown")  # the next one has carried it out


def test_after_every_kill_the_next_run_works(home: DemoHome) -> None:
    served, address = serve(home)
    train_in_a_back_fill(address)
    kill_a_run_of_the_back_fill(home)

    [daemon] = processes(home, "-m dagster._daemon")
    daemon.kill()
    served.wait_for("the daemon was ended by SIGKILL; it was started again")
    wait_for(lambda: [each for each in processes(home, "-m dagster._daemon") if each.pid != daemon.pid])
    for training in processes(home, "-m ml.learning.train_process"):
        training.parent().kill()
        training.wait(timeout=PATIENCE)
    train_in_a_back_fill(address)
    # A new daemon imports everything first, and sees what was killed when its monitor looks.
    wait_for(lambda: processes(home, "-m ml.learning.train_process"))
    served.process.send_signal(signal.SIGKILL)
    unfinished = home.python(JOBS + EVERYTHING)
    assert set(unfinished) <= {"__ASSET_JOB"}  # one that was never started is the daemon's
    wait_for(lambda: not home.processes())
