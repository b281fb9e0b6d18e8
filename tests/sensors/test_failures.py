"""A run that fails is noted once, with its reason in a sentence; the notes are few and survive damage."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._utils.error import serializable_error_info_from_exc_info

from sensors.failures import KILLED, failure_note, failure_sensor
from trading.errors import InvalidSettings, NotStored
from trading.ports import FailureNote
from trading.stores.failure_notes import KEPT, FailureNotes

AT = datetime(2024, 5, 1, tzinfo=UTC)


@dg.op
def read_candles() -> None:
    raise NotStored("no candle lies in 2024-05")


@dg.job
def history() -> None:
    read_candles()


def noted(tmp_path: Path, job: Any, **options: Any) -> FailureNote:
    """Run what fails and let the sensor hear of it twice."""
    notes = FailureNotes(tmp_path / "failures.jsonl")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False, **options)
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        for _ in range(2):
            failure_sensor(context, failure_notes=notes)
    [only] = notes.newest(10)
    return only


def test_a_failed_run_is_noted_once_with_the_innermost_reason(tmp_path: Path) -> None:
    found = noted(tmp_path, history, tags={"dagster/partition": "2024-05-01|BTC-USDT"})
    assert found.reason == "read_candles: trading.errors.NotStored: no candle lies in 2024-05"
    assert (found.job, found.partition) == ("history", "2024-05-01|BTC-USDT")


def test_assets_that_a_person_chose_and_a_resource_that_could_not_be_built_are_named(tmp_path: Path) -> None:
    @dg.resource
    def account(_: dg.InitResourceContext) -> None:
        raise NotStored("no instruments stored")

    @dg.asset(required_resource_keys={"account"})
    def decision() -> None: ...

    chosen = dg.Definitions(
        [decision], resources={"account": account}
    ).resolve_implicit_global_asset_job_def()
    found = noted(tmp_path, chosen, asset_selection=[decision.key])
    assert found.job == "decision"
    assert found.reason == "trading.errors.NotStored: no instruments stored"


def test_a_run_whose_process_was_killed_says_so() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(history)
        instance.report_run_failed(run)
        assert failure_note(instance, run).reason == KILLED


def test_a_run_whose_process_could_not_load_the_job_says_why() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(history)
        try:
            raise InvalidSettings("[risk]: position_cap is 3")
        except InvalidSettings:
            why = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
        instance.report_engine_event("Could not load job definition.", run, why)
        instance.report_engine_event("Process for run exited.", run)
        instance.report_run_failed(run)
        assert (
            failure_note(instance, run).reason == "trading.errors.InvalidSettings: [risk]: position_cap is 3"
        )


def note(number: int) -> FailureNote:
    return FailureNote(f"run-{number}", "history", "", "because", AT + timedelta(minutes=number))


def test_only_the_newest_notes_are_kept_newest_first(tmp_path: Path) -> None:
    notes = FailureNotes(tmp_path / "failures.jsonl")
    for number in range(KEPT + 5):
        notes.add(note(number))
    kept = notes.newest(KEPT * 2)
    assert (len(kept), kept[0], kept[-1]) == (KEPT, note(KEPT + 4), note(5))


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    notes = FailureNotes(tmp_path / "failures.jsonl")
    notes.add(note(1))
    with (tmp_path / "failures.jsonl").open("ab") as file:
        file.write(b'{"run_id": "half\n\xff\xfe\n[]\n')
    notes.add(note(2))
    assert notes.newest(5) == [note(2), note(1)]
