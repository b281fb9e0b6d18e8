"""Runs through real warm workers: what is executed, what goes another way, and what is left when something dies."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.launcher import WorkerStatus

from orchestration.fast_lane import FastLaneLauncher, launcher
from orchestration.fast_lane.tags import WORKER_TAG
from tests.orchestration.fast_lane import location
from tests.orchestration.fast_lane.lane import Lane, open_lane

SUCCESS, FAILURE, CANCELED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


@pytest.fixture
def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    with open_lane(tmp_path, monkeypatch) as opened:
        opened.until_ready()
        yield opened


def ran_in(lane: Lane, run_id: str) -> int:
    return int((lane.folder / f"ran-{run_id}").read_text())


def test_runs_of_the_lane_are_executed_in_the_same_warm_process(lane: Lane) -> None:
    [worker] = lane.until_ready()
    assert (lane.folder / "warm").exists()
    runs = []
    for _ in range(3):
        runs.append(lane.submit(location.quick))
        assert lane.until_ended(runs[-1]) is SUCCESS
        lane.until_ready()
    assert {ran_in(lane, each) for each in runs} == {worker} != {os.getpid()}
    assert "Started in a warm worker" in lane.messages(runs[0])
    assert not lane.ordinary


def test_a_run_without_the_tag_queues_and_one_that_is_launched_goes_to_dagsters_own_launcher(
    lane: Lane,
) -> None:
    run_id = lane.submit(location.ordinary)
    assert lane.status(run_id) is dg.DagsterRunStatus.QUEUED
    lane.instance.launch_run(run_id, workspace=None)  # type: ignore[arg-type]
    assert lane.ordinary == [run_id]


def test_while_all_workers_are_busy_a_run_of_the_lane_queues(lane: Lane) -> None:
    first = lane.submit(location.waiting)
    lane.process_of(first)
    second = lane.submit(location.quick)
    assert lane.status(second) is dg.DagsterRunStatus.QUEUED
    (lane.folder / "go-on").touch()
    assert lane.until_ended(first) is SUCCESS


def test_runs_that_are_submitted_together_are_executed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_lane(tmp_path, monkeypatch, workers=3) as lane:
        workers = lane.until_ready(3)
        with ThreadPoolExecutor(3) as sensors:
            runs = list(sensors.map(lane.submit, [location.waiting] * 3))
        assert {lane.process_of(each) for each in runs} == set(workers)  # none goes on before all three wait
        (lane.folder / "go-on").touch()
        assert [lane.until_ended(each) for each in runs] == [SUCCESS] * 3
        assert not lane.ordinary


def test_a_failing_run_fails_with_its_reason_and_its_worker_goes_on(lane: Lane) -> None:
    [worker] = lane.until_ready()
    failed = lane.submit(location.failing)
    assert lane.until_ended(failed) is FAILURE
    assert "this job fails" in str(lane.instance.all_logs(failed))
    assert lane.until_ready() == [worker]
    assert lane.until_ended(lane.submit(location.quick)) is SUCCESS


def test_the_run_of_a_killed_worker_fails_at_once_and_another_worker_comes(lane: Lane) -> None:
    run_id = lane.submit(location.waiting)
    worker = lane.process_of(run_id)
    os.kill(worker, signal.SIGKILL)
    assert lane.until_ended(run_id) is FAILURE
    assert f"process {worker} ended with signal 9" in lane.messages(run_id)
    assert lane.until_ready() != [worker]
    assert lane.until_ended(lane.submit(location.quick)) is SUCCESS


def test_the_successors_of_workers_that_were_ready_start_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.fast_lane.pool.FIRST_PAUSE", 10_000.0)
    monkeypatch.setattr("orchestration.fast_lane.pool.MAX_PAUSE", 10_000.0)
    with open_lane(tmp_path, monkeypatch, workers=2) as lane:
        killed = lane.until_ready(2)  # neither has had a run
        for process in killed:
            os.kill(process, signal.SIGKILL)
        lane.until(lambda: not {each["process"] for each in lane.workers()} & set(killed))
        assert len(lane.until_ready(2)) == 2


def kill_while_the_next_is_held(lane: Lane) -> None:
    """Kill the worker; its successor loads its code until the file `hold` is gone."""
    [killed] = lane.until_ready()
    (lane.folder / "hold").touch()
    os.kill(killed, signal.SIGKILL)
    lane.until(lambda: [each["process"] for each in lane.workers() if each["state"] == "starting"])


def test_a_run_waits_for_the_worker_that_starts(lane: Lane) -> None:
    kill_while_the_next_is_held(lane)
    [starting] = [each["process"] for each in lane.workers()]
    run_id = lane.submit(location.quick)
    launch = threading.Thread(target=lane.instance.launch_run, args=(run_id, None))
    launch.start()
    lane.until(lambda: lane.status(run_id) is dg.DagsterRunStatus.STARTING)
    (lane.folder / "hold").unlink()
    launch.join()
    assert lane.until_ended(run_id) is SUCCESS
    assert ran_in(lane, run_id) == starting
    assert lane.ordinary == []


def test_a_run_does_not_wait_for_ever_for_a_worker_that_starts(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.fast_lane.pool.COMING_SECONDS", 0.1)
    kill_while_the_next_is_held(lane)
    run_id = lane.submit(location.quick)
    lane.instance.launch_run(run_id, workspace=None)  # type: ignore[arg-type]
    assert lane.ordinary == [run_id]
    (lane.folder / "hold").unlink()


def test_a_run_whose_end_could_not_be_stored_is_closed_and_its_worker_replaced(lane: Lane) -> None:
    run_id = lane.submit(location.losing)
    assert lane.until_ended(run_id) is FAILURE
    assert "its warm worker ended before the run did" in lane.messages(run_id)
    [worker] = lane.until_ready()
    assert worker != ran_in(lane, run_id)
    assert lane.until_ended(lane.submit(location.quick)) is SUCCESS


def test_a_run_is_cancelled_by_another_process_and_the_worker_goes_on(lane: Lane) -> None:
    run_id = lane.submit(location.waiting)
    worker = lane.process_of(run_id)
    with dg.DagsterInstance.from_config(str(lane.folder)) as other:  # such as the web server's
        assert other.run_coordinator.cancel_run(run_id)
    assert lane.until_ended(run_id) is CANCELED
    assert lane.until_ready() == [worker]


def test_a_cancellation_that_comes_too_late_does_not_hit_the_next_run(lane: Lane) -> None:
    first = lane.submit(location.quick)
    lane.until_ended(first)
    [worker] = lane.until_ready()
    second = lane.submit(location.waiting)
    lane.process_of(second)
    assert not lane.launcher.terminate(first)
    os.kill(worker, signal.SIGUSR1)  # as if it had been sent a moment before the first run ended
    (lane.folder / "go-on").touch()
    assert lane.until_ended(second) is SUCCESS


def test_a_run_whose_worker_cannot_be_stopped_ends_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_lane(tmp_path, monkeypatch) as lane:
        [worker] = lane.until_ready()
        os.kill(worker, signal.SIGSTOP)
        monkeypatch.setattr("orchestration.fast_lane.pool.ANSWER_SECONDS", 0.2)
        run_id = lane.submit(location.quick)  # it is offered, not answered, and goes another way
        assert lane.ordinary == [run_id]
        assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE
        run = lane.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.tags[WORKER_TAG] == "none"


@pytest.mark.parametrize("what", ["settings", "code"])
def test_a_worker_whose_files_have_changed_takes_no_run_and_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with open_lane(tmp_path, monkeypatch) as lane:
        [worker] = lane.until_ready()
        if what == "settings":
            (tmp_path / "settings").write_text("another value")
        else:
            os.utime(location.__file__)
        run_id = lane.submit(location.quick)
        # A worker that looked at its files in this moment has said so already: then the run queues.
        assert lane.ordinary == [run_id] or lane.status(run_id) is dg.DagsterRunStatus.QUEUED
        lane.until(lambda: (ready := lane.until_ready()) and ready != [worker])
        assert lane.until_ended(lane.submit(location.quick)) is SUCCESS


def test_a_worker_that_waits_is_replaced_when_its_files_change_so_that_the_next_run_finds_it_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_lane(tmp_path, monkeypatch) as lane:
        [worker] = lane.until_ready()
        (tmp_path / "settings").write_text("another value")
        lane.until(lambda: worker not in [each["process"] for each in lane.workers()])
        [successor] = lane.until_ready()
        run_id = lane.submit(location.quick)
        assert lane.until_ended(run_id) is SUCCESS
        assert (tmp_path / f"ran-{run_id}").read_text() == str(successor)
        assert lane.ordinary == []


@pytest.mark.parametrize("limit", ["runs_per_worker", "megabytes_per_worker"])
def test_a_worn_worker_goes_once_its_successor_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    with open_lane(tmp_path, monkeypatch, **{limit: 1}) as lane:
        [first] = lane.until_ready()
        assert lane.until_ended(run := lane.submit(location.quick)) is SUCCESS
        assert ran_in(lane, run) == first
        lane.until(
            lambda: [each["process"] for each in lane.workers()] != [first] and len(lane.workers()) == 1
        )
        [successor] = lane.until_ready()
        assert lane.until_ended(run := lane.submit(location.quick)) is SUCCESS
        assert ran_in(lane, run) == successor != first
        assert not psutil.pid_exists(first)


def test_without_workers_every_run_goes_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_lane(tmp_path, monkeypatch, workers=0) as lane:
        run_id = lane.submit(location.quick)
        assert lane.status(run_id) is dg.DagsterRunStatus.QUEUED
        lane.instance.launch_run(run_id, workspace=None)  # type: ignore[arg-type]
        assert lane.ordinary == [run_id]


def test_a_module_that_cannot_be_imported_is_tried_again_with_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("orchestration.fast_lane.pool.FIRST_PAUSE", 0.01)
    with open_lane(tmp_path, monkeypatch, module="no.such.module", warm_up="") as lane:
        lane.until(lambda: caplog.text.count("before it was ready") >= 2)
        lane.instance.launch_run(lane.submit(location.quick), workspace=None)  # type: ignore[arg-type]
        assert len(lane.ordinary) == 1


def test_closing_waits_for_the_run_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_lane(tmp_path, monkeypatch) as lane:
        [worker] = lane.until_ready()
        run_id = lane.submit(location.waiting)
        lane.process_of(run_id)
        (tmp_path / "go-on").touch()
    assert not psutil.pid_exists(worker)
    monkeypatch.setattr(launcher, "is_daemon", lambda: False)
    with dg.DagsterInstance.from_config(str(tmp_path)) as later:
        run = later.get_run_by_id(run_id)
        assert run is not None
        assert run.status is SUCCESS


def test_monitoring_is_told_that_a_worker_is_gone(lane: Lane) -> None:
    run_id = lane.submit(location.waiting)
    worker = lane.process_of(run_id)

    def health() -> WorkerStatus:
        run = lane.instance.get_run_by_id(run_id)
        assert run is not None
        return lane.launcher.check_run_worker_health(run).status

    assert health() is WorkerStatus.RUNNING
    os.kill(worker, signal.SIGKILL)
    lane.until(lambda: health() is WorkerStatus.NOT_FOUND)


def test_only_the_daemon_has_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_lane(tmp_path, monkeypatch, workers=0):
        pass
    monkeypatch.setattr(launcher, "is_daemon", lambda: False)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_coordinator
        found = instance.run_launcher
        assert isinstance(found, FastLaneLauncher)
        assert not found.has_room()


@pytest.mark.parametrize(
    ("script", "daemon"),
    [
        ("/venv/bin/dagster-daemon", True),
        ("/venv/lib/dagster/_daemon/__main__.py", True),
        ("/venv/bin/dagster-webserver", False),
        ("/venv/bin/pytest", False),
    ],
)
def test_the_daemon_is_known_by_its_command(
    script: str, daemon: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [script, "run"])
    assert launcher.is_daemon() is daemon
