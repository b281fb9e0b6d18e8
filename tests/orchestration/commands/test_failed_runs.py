"""Runs that fail are noted and told of by the keeper itself, with the sensor of failed runs switched off."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.commands.failed_runs import FailedRuns
from sensors.failures import KILLED, failure_note
from trading.errors import StoreUnreachable
from trading.ports import FailureNote
from trading.stores.failure_notes import KEPT, FailureNotes

MANY = 12  # more than the sensor handles in two ticks


@dg.op
def nothing() -> None: ...


@dg.job
def history() -> None:
    nothing()


@dg.resource
def broken(_: dg.InitResourceContext) -> None:
    raise ValueError("no such server")


@dg.op(required_resource_keys={"server"})
def read() -> None: ...


@dg.job(resource_defs={"server": broken})
def reading() -> None:
    read()


class Watched:
    """The keeper's look at the runs of an instance; `told` has what people are told."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance, self.away = instance, False
        self.told: list[FailureNote] = []
        self.notes = FailureNotes(folder / "failures.jsonl", self.announce)
        self.runs = self.started()

    def started(self) -> FailedRuns:
        return FailedRuns(lambda: self.notes)

    def announce(self, note: FailureNote) -> None:
        if self.away:
            raise StoreUnreachable("PostgreSQL does not answer")
        self.told.append(note)

    def fail(self, count: int = 1) -> list[str]:
        """Let runs die before their body, as those of killed workers do."""
        runs = [self.instance.create_run_for_job(history) for _ in range(count)]
        for run in runs:
            self.instance.report_run_failed(run)
        return [run.run_id for run in runs]

    def told_of(self) -> list[str]:
        return sorted(each.run_id for each in self.told)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield Watched(tmp_path, instance)


def test_a_dozen_runs_that_fail_at_once_are_told_of_once_each(watched: Watched) -> None:
    failed = watched.fail(MANY)
    for _ in range(3):
        watched.runs.look()
    assert watched.told_of() == sorted(failed)
    assert {each.reason for each in watched.notes.newest(MANY)} == {KILLED}
    assert len(watched.notes.newest(KEPT)) == MANY


def test_what_the_sensor_has_noted_is_not_told_of_again(watched: Watched) -> None:
    [first, second] = watched.fail(2)
    run = watched.instance.get_run_by_id(first)
    assert run is not None
    watched.notes.add(failure_note(watched.instance, run))
    watched.runs.look()
    assert watched.told_of() == sorted([first, second])


def test_a_run_whose_resource_cannot_be_built_says_why(watched: Watched) -> None:
    assert not reading.execute_in_process(instance=watched.instance, raise_on_error=False).success
    watched.runs.look()
    [told] = watched.told
    assert (told.job, told.reason) == ("reading", "ValueError: no such server")


def test_runs_that_end_otherwise_are_none_of_its_business(watched: Watched) -> None:
    assert history.execute_in_process(instance=watched.instance).success
    canceled = watched.instance.create_run_for_job(history)
    watched.instance.report_run_canceled(canceled)
    watched.runs.look()
    assert watched.told == []


def test_what_could_not_be_told_is_told_once_postgresql_is_back(watched: Watched) -> None:
    failed = watched.fail(3)
    watched.away = True
    with pytest.raises(StoreUnreachable):
        watched.runs.look()
    watched.away = False
    watched.runs.look()
    assert watched.told_of() == sorted(failed)


def test_a_restart_tells_nothing_again_and_misses_nothing(watched: Watched) -> None:
    before = watched.fail(2)
    watched.runs.look()
    meanwhile = watched.fail(1)
    watched.runs = watched.started()
    watched.runs.look()
    assert watched.told_of() == sorted(before + meanwhile)


def test_more_runs_than_notes_are_kept_are_told_of_once_each(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading.stores.failure_notes.KEPT", 4)
    failed = watched.fail(MANY)
    watched.runs.look()
    failed += watched.fail(1)
    watched.runs.look()
    assert watched.told_of() == sorted(failed)
