"""Bad days of a real daemon with the real graph: a second one beside it, and a reload in mid-decision."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import dagster as dg
import psutil
import pytest

from orchestration.commands.daemon_watch import LOOK_SECONDS, DaemonReports, DaemonWatch
from orchestration.commands.keeper_alerts import publish_alert
from orchestration.fast_lane.tags import WORKER_TAG
from sensors.decisions import sensor_name
from tests.bad_days.trading_day import PAIR, TradingDay
from tests.orchestration.fast_lane.home import Home, running_home
from trading.candle_events import CANDLE_CLOSED, candle_closed

GRAPH = "orchestration.definitions"
SUCCESS = dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def home(day: TradingDay, tmp_path: Path) -> Iterator[Home]:
    """A home in which the pair's sensor is on."""
    (folder := tmp_path / "dagster").mkdir()
    with running_home(folder, GRAPH) as made:
        made.instance.add_dynamic_partitions("pair", [PAIR.key])
        made.start_code_server()
        made.start_sensor(sensor_name(PAIR.key))
        yield made


def announce(day: TradingDay) -> None:
    """Announce the newest candle, as the stream does."""
    close = day.services.market_reader.newest_close_time(PAIR)
    event = candle_closed(day.services.dataset, PAIR, close)
    day.services.bus.publish(CANDLE_CLOSED, event.key, event.values)


def decisions(home: Home) -> list[dg.DagsterRun]:
    return list(home.instance.get_runs(dg.RunsFilter(job_name="decide")))


def all_ended(home: Home) -> bool:
    return all(each.is_finished for each in decisions(home))


def what_happened(home: Home) -> str:
    """Return the events of all decisions."""
    return "\n\n".join(home.messages(each.run_id) for each in decisions(home))


def test_two_daemons_are_told_of_and_place_one_order_for_a_candle(day: TradingDay, home: Home) -> None:
    day.open()
    for _ in range(2):
        home.start_daemon()
    told = partial(publish_alert, day.home.dsn, "daemons")
    clock = count(0.0, LOOK_SECONDS)
    watch = DaemonWatch(DaemonReports(home.instance).newest, told, clock.__next__)
    home.until(lambda: watch.look() or watch._told)  # each of them has reported, and reports again
    assert "two Dagster daemons use this database" in day.told("daemons")[0].text
    announce(day)
    home.until(lambda: day.newest().order and all_ended(home))
    assert {each.status for each in decisions(home)} == {SUCCESS}, what_happened(home)
    assert len(day.services.journal.decisions(day.account)) == 1
    assert day.entries_at_exchange() == 1
    day.keep_until(lambda: day.newest().is_filled())
    day.is_in_order()
    day.ends_well()


def test_a_reload_of_the_location_in_mid_decision_leaves_the_decision_alone(
    day: TradingDay, home: Home
) -> None:
    day.open()
    for method in ("add_order", "AddOrder"):
        day.exchange.arm("slow_ack", method=method, seconds=600.0)
    home.start_daemon()
    announce(day)
    home.until(day.orders_at_exchange)
    [run] = decisions(home)
    worker = psutil.Process(int(run.tags[WORKER_TAG].split()[1]))
    worker.send_signal(signal.SIGSTOP)  # between the exchange and the ledger, as long as the reload takes
    home.reload_code()
    assert home.status(run.run_id) is dg.DagsterRunStatus.STARTED, what_happened(home)
    day.exchange.disarm()
    os.kill(worker.pid, signal.SIGCONT)
    assert home.until_ended(run.run_id) is SUCCESS, what_happened(home)
    day.keep_until(lambda: day.newest().is_filled())
    assert len(decisions(home)) == len(day.services.journal.decisions(day.account)) == 1
    assert day.entries_at_exchange() == 1
    assert day.told("failed run") == []
    day.is_in_order()
    day.ends_well()
