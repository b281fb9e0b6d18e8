"""A stream that has died, or is not well, is told of by the keeper: once, and once more when it is well again."""

from pathlib import Path

import pytest

from orchestration.commands.stream_status import StreamView, read_stream
from orchestration.commands.stream_watch import UNWELL_SECONDS, StreamWatch
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode

LOOK_SECONDS = 15.0  # more than between two looks
WELL = StreamView("kraken", True, facts={"health": []})
SILENT = StreamView("kraken", True, facts={"health": ["no frame of the venue for 12 s"]})


class World:
    """A stream that is as `view` says, on a clock of the test's own; `view` None: as PostgreSQL says."""

    def __init__(self, dsn: str, home: Path) -> None:
        self.dsn, self.now = dsn, 1000.0
        self.view: StreamView | None = WELL
        services = Services(load_settings(), home, dsn)
        self.watch = StreamWatch(lambda: services, self.read, lambda: self.now)

    def read(self, settings: Settings, dsn: str) -> StreamView:
        return self.view or read_stream(settings, dsn)

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.watch.look()
            self.now += 5.0

    def told(self) -> list[tuple[str, str]]:
        reader = PostgresBus(self.dsn).reader([ALERTS], from_start=True)
        messages = [decode(each, AlertMessage) for each in reader.poll(100, 0)]
        reader.close()
        assert len({each.about for each in messages}) == len(messages)
        return [(each.severity, each.text) for each in messages]


@pytest.fixture
def world(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("MARKETLOOM__MARKET__SOURCE", "kraken")
    return World(dsn, tmp_path)


def test_a_stream_that_is_not_well_is_told_of_once_and_when_it_is_well_again(world: World) -> None:
    world.pass_by(60)
    world.view = SILENT
    world.pass_by(UNWELL_SECONDS)
    assert world.told() == []
    world.pass_by(300)
    fault = ("error", "the stream has not been well for a minute: no frame of the venue for 12 s")
    assert world.told() == [fault]
    world.view = WELL
    world.pass_by(60)
    world.view = SILENT
    world.pass_by(300)
    assert world.told() == [fault, ("info", "the stream of kraken is well again"), fault]


def test_a_short_fault_is_nobodys_business(world: World) -> None:
    for _ in range(10):
        world.view = SILENT
        world.pass_by(UNWELL_SECONDS - LOOK_SECONDS)
        world.view = WELL
        world.pass_by(LOOK_SECONDS)
    assert world.told() == []


def test_a_stream_that_does_not_run_is_not_well(world: World) -> None:
    world.view = None
    world.pass_by(UNWELL_SECONDS + 2 * LOOK_SECONDS)
    [(severity, text)] = world.told()
    assert severity == "error"
    assert "no stream of kraken runs" in text


def test_where_nothing_can_stream_nothing_is_missed(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM__MARKET__SOURCE", "simulator")
    world = World(dsn, tmp_path)
    world.view = None
    world.pass_by(300)
    assert world.told() == []
