"""Runs and pool slots that killed processes left behind, on an instance with Dagster's own storage."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from rich.console import Console

from orchestration.progress import progress, stage
from orchestration.run_recovery import PROCESS_TAG, recover_runs

POOL = "account"
STARTED, NOT_STARTED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED


@pytest.fixture(scope="module")
def storage() -> Iterator[dg.DagsterInstance]:
    """Making one costs two seconds."""
    with dg.instance_for_test({"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}) as made:
        made.event_log_storage.initialize_concurrency_limit_to_default(POOL)
        yield made


@pytest.fixture
def instance(storage: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    yield storage
    for run in storage.get_runs():
        storage.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        storage.delete_run(run.run_id)


def add_run(
    instance: dg.DagsterInstance, process: int | None, status: dg.DagsterRunStatus = STARTED
) -> dg.DagsterRun:
    """A run that holds the pool's only slot, or waits for it."""
    tags = {} if process is None else {PROCESS_TAG: str(process)}
    run = dg.DagsterRun(job_name="decide", tags=tags, status=status)
    instance.add_run(run)
    instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "decision")
    return run


def holders(instance: dg.DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info(POOL).active_run_ids


def is_finished(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.is_finished


@pytest.fixture(scope="module")
def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("status", [STARTED, NOT_STARTED])
def test_a_run_whose_process_is_gone_is_closed_and_its_slot_is_free(
    instance: dg.DagsterInstance, dead_process: int, status: dg.DagsterRunStatus
) -> None:
    run = add_run(instance, dead_process, status)
    recover_runs(instance, served=True)
    assert is_finished(instance, run)
    assert holders(instance) == set()


def test_a_killed_run_that_waited_makes_room_for_the_next(
    instance: dg.DagsterInstance, dead_process: int
) -> None:
    holding, _ = add_run(instance, dead_process), add_run(instance, dead_process)
    recover_runs(instance, served=True)
    assert is_finished(instance, holding)
    run = add_run(instance, os.getpid())
    assert holders(instance) == {run.run_id}


def test_a_run_whose_process_lives_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    run = add_run(instance, os.getpid())
    recover_runs(instance, served=False)
    assert not is_finished(instance, run)
    assert holders(instance) == {run.run_id}


def test_a_process_id_that_was_given_to_somebody_else_keeps_no_slot(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.run_recovery.CLOCK_TOLERANCE", timedelta(days=-3650))
    run = add_run(instance, os.getpid())
    recover_runs(instance, served=True)
    assert is_finished(instance, run)
    assert holders(instance) == set()


@pytest.mark.parametrize("served", [True, False])
def test_a_run_of_the_server_goes_on_only_while_the_home_is_served(
    instance: dg.DagsterInstance, served: bool
) -> None:
    run = add_run(instance, None)
    recover_runs(instance, served=served)
    assert is_finished(instance, run) is not served
    assert holders(instance) == ({run.run_id} if served else set())


def test_a_run_that_the_server_has_not_started_yet_is_left_to_it(instance: dg.DagsterInstance) -> None:
    run = add_run(instance, None, NOT_STARTED)
    recover_runs(instance, served=False)
    assert not is_finished(instance, run)


def test_a_slot_that_outlived_the_end_of_its_run_is_free_again(instance: dg.DagsterInstance) -> None:
    run = add_run(instance, None)
    instance.report_run_failed(run)
    assert holders(instance) == {run.run_id}  # as an earlier version left it
    recover_runs(instance, served=True)
    assert holders(instance) == set()


@dg.op(pool=POOL)
def take_turns() -> None:
    pass


@dg.job(logger_defs={"progress": progress}, executor_def=dg.in_process_executor)
def one_at_a_time() -> None:
    take_turns()


def test_a_command_that_waits_for_a_pool_says_which_run_holds_it(instance: dg.DagsterInstance) -> None:
    run = add_run(instance, os.getpid())
    config = {"loggers": {"progress": {}}}
    waiting = threading.Thread(
        target=one_at_a_time.execute_in_process, kwargs={"instance": instance, "run_config": config}
    )
    printed = io.StringIO()
    with stage(Console(file=printed), "Decisions"):
        waiting.start()
        while "waits for pool" not in printed.getvalue():
            assert waiting.is_alive()
            time.sleep(0.01)
        instance.report_run_failed(run)
        recover_runs(instance, served=True)
        waiting.join()
    text = printed.getvalue()
    assert (
        f"waits for pool account: run {run.run_id[:8]} of job decide (process {os.getpid()}, since " in text
    )
