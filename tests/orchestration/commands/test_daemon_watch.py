"""Two Dagster daemons on one database are told of by the keeper: a restart is not taken for them."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from orchestration.commands.daemon_watch import LOOK_SECONDS, DaemonReports, DaemonWatch


class Watched:
    """Daemons that report as the test says."""

    def __init__(self) -> None:
        self.now, self.told = 1000.0, list[str]()
        self.reported: dict[str, str] = {}
        self.watch = DaemonWatch(lambda: self.reported, self.publish, lambda: self.now)

    def publish(self, severity: str, text: str) -> None:
        assert severity == "error"
        self.told.append(text)

    def report(self, *daemons: str, work: str = "SENSOR") -> None:
        for daemon in daemons:
            self.reported[work] = daemon
            self.watch.look()
            self.now += LOOK_SECONDS


def test_a_daemon_that_is_started_again_is_the_only_one() -> None:
    watched = Watched()
    watched.report("first", "first", "second", "second", "third")
    watched.report("second", work="SCHEDULER")  # its newest report of other work
    assert watched.told == []


def test_a_daemon_that_reports_again_after_another_one_is_told_of_once() -> None:
    watched = Watched()
    watched.report("first", "second", "first", "second", "first")
    assert len(watched.told) == 1
    assert "first and second" in watched.told[0]
    watched.report("third", "first")  # yet another one
    assert len(watched.told) == 2


def test_what_could_not_be_told_is_told_with_a_later_look() -> None:
    watched = Watched()
    watched.report("first", "second")

    def away(severity: str, text: str) -> None:
        raise OSError("PostgreSQL is away")

    watched.watch.publish = away
    with pytest.raises(OSError, match="away"):
        watched.report("first")
    watched.watch.publish = watched.publish
    watched.now += LOOK_SECONDS
    watched.report("first")
    assert len(watched.told) == 1


def test_dagsters_own_heartbeats_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").touch()
    reports = DaemonReports()
    with dg.DagsterInstance.get() as instance:
        for daemon in ("first", "second"):
            at = datetime.now(UTC).timestamp()
            instance.add_daemon_heartbeat(DaemonHeartbeat(at, "SENSOR", daemon, []))
            assert reports.newest() == {"SENSOR": daemon}
