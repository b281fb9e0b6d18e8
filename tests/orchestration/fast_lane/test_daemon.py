"""A real daemon with a real code server: events through a waiting sensor into warm workers, and what a kill leaves."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.scheduler.instigation import TickStatus

from orchestration.fast_lane.tags import WORKER_TAG
from tests.orchestration.fast_lane.home import Home, running_home

SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with running_home(tmp_path) as made:
        made.start_code_server()
        yield made


def test_an_event_becomes_a_run_in_a_warm_worker_of_the_daemon(home: Home) -> None:
    daemon = home.start_daemon()
    for number in (1, 2):
        home.happen(number)
        run = home.run_of(number)
        assert home.until_ended(run.run_id) is SUCCESS
    found = home.instance.get_run_by_id(run.run_id)
    assert found is not None
    worker = int(found.tags[WORKER_TAG].split()[1])
    assert psutil.Process(worker).ppid() == daemon


def test_a_killed_daemon_leaves_no_orphan_and_its_worker_ends_its_run_first(home: Home) -> None:
    daemon = home.start_daemon()
    home.happen(1, "waiting")
    run = home.run_of(1)
    worker = psutil.Process(home.process_of(run.run_id))
    os.kill(daemon, signal.SIGKILL)
    (home.folder / "go-on").touch()
    assert home.until_ended(run.run_id) is SUCCESS
    home.until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_after_a_machine_went_down_the_run_is_closed_and_the_next_event_is_run(home: Home) -> None:
    daemon = home.start_daemon()
    home.happen(1, "waiting")
    run = home.run_of(1)
    worker = home.process_of(run.run_id)
    os.kill(daemon, signal.SIGSTOP)  # it must not see its worker die
    os.kill(worker, signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    home.happen(2)  # while nobody is there
    home.start_daemon()
    assert home.until_ended(run.run_id) is FAILURE
    assert "is gone" in home.messages(run.run_id)
    assert home.until_ended(home.run_of(2).run_id) is SUCCESS


def test_a_reload_of_the_location_while_a_sensor_waits_loses_no_event(home: Home) -> None:
    home.start_daemon()
    home.happen(1)
    home.until_ended(home.run_of(1).run_id)
    home.until(lambda: len(_ticks(home, TickStatus.STARTED)) > 0)  # it waits for the next one
    home.reload_code()
    home.happen(2)
    assert home.until_ended(home.run_of(2).run_id) is SUCCESS


def test_a_reload_of_the_location_in_the_middle_of_a_run_leaves_the_run_alone(home: Home) -> None:
    home.start_daemon()
    home.happen(1, "waiting")
    run = home.run_of(1)
    home.process_of(run.run_id)
    home.reload_code()
    (home.folder / "go-on").touch()
    assert home.until_ended(run.run_id) is SUCCESS


def _ticks(home: Home, status: TickStatus) -> list[object]:
    found = []
    for state in home.instance.all_instigator_state():
        found += home.instance.get_ticks(
            state.instigator_origin_id, state.selector_id, limit=1, statuses=[status]
        )
    return found
