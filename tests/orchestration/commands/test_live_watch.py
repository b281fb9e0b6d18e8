"""The keeper repeats the doctor's look where real money is asked for, and tells of each change once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestration.commands.findings import Finding, Health
from orchestration.commands.live_watch import BLOCKED_SECONDS, EXAMINE_SECONDS, LiveWatch
from orchestration.services import Services
from orchestration.settings import load_settings
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode
from tests.doubles.clock import Clock
from trading.errors import VenueUnreachable
from trading.venues.kraken.authentication import KEY, SECRET

LOOK_SECONDS = 15.0  # between two looks
OK = [Finding("clock", Health.OK, "right")]
BLOCKED = [Finding("balances", Health.BROKEN, "differ")]


@dataclass
class Watched:
    """A watch whose examinations are the test's; its clock, too."""

    dsn: str
    home: Path
    answers: list[Callable[[], list[Finding]]] = field(default_factory=list)
    examined: int = 0
    slept: float = 0.0

    def __post_init__(self) -> None:
        self.clock = Clock(1000.0)
        self.watch = LiveWatch(self.services, self.examine, self.clock, self.sleep)

    def services(self) -> Services:
        return Services(load_settings(), self.home, self.dsn)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def examine(self, services: Services) -> list[Finding]:
        self.examined += 1
        return self.answers.pop(0)() if self.answers else OK

    def stored(self) -> tuple[str, ...]:
        """What blocks the account, as everybody reads it who asks for a permit."""
        gate = self.services().live_gate
        check = gate.accounts.check(gate.key_account())
        assert check is not None
        return check.problems

    def look(self, seconds: float = LOOK_SECONDS) -> None:
        self.watch.look()
        if self.watch._examining is not None:
            self.watch._examining.join()
        self.clock.now += seconds

    def alerts(self) -> list[tuple[str, str]]:
        reader = PostgresBus(self.dsn).reader([ALERTS], from_start=True)
        found = [decode(each, AlertMessage) for each in reader.poll(100, 0)]
        reader.close()
        return [(each.severity, each.text) for each in found if each.kind == "real money"]


@pytest.fixture
def watched(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    for name, value in {
        "MARKETLOOM_HOME": str(tmp_path),
        "MARKETLOOM__MARKET__SOURCE": "kraken",
        "MARKETLOOM__VENUE__MODE": "live",
        KEY: "a-key",
        SECRET: "c2VjcmV0",
    }.items():
        monkeypatch.setenv(name, value)
    return Watched(dsn, tmp_path)


def test_the_account_is_examined_at_the_start_and_every_five_minutes(watched: Watched) -> None:
    for _ in range(2 * int(EXAMINE_SECONDS / LOOK_SECONDS)):
        watched.look()
    assert watched.examined == 2
    assert watched.stored() == ()


def test_what_blocks_is_looked_at_twice_and_again_after_a_minute(watched: Watched) -> None:
    watched.answers = [lambda: BLOCKED, lambda: BLOCKED]
    watched.look()
    assert (watched.examined, watched.slept > 0) == (2, True)
    assert watched.stored() == ("balances: differ",)
    watched.look(BLOCKED_SECONDS)
    watched.look()
    assert watched.examined == 3


def test_what_is_gone_at_the_second_look_blocks_nothing(watched: Watched) -> None:
    between: list[tuple[str, ...]] = []

    def second() -> list[Finding]:
        between.append(watched.stored())
        return OK

    watched.look(EXAMINE_SECONDS)
    watched.answers = [lambda: BLOCKED, second]
    watched.look(BLOCKED_SECONDS)
    assert (between, watched.stored()) == ([()], ())
    watched.look()
    assert watched.examined == 3


def test_an_exchange_that_is_away_ends_nothing_and_is_asked_again(watched: Watched) -> None:
    def away() -> list[Finding]:
        raise VenueUnreachable("away")

    watched.answers = [away]
    watched.look(BLOCKED_SECONDS)
    watched.look()
    assert watched.examined == 2


def test_a_person_is_told_once_why_paper_trades_and_again_when_the_reason_is_another(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):  # until the first examination counts
        watched.look()
    told = watched.alerts()
    assert {severity for severity, _ in told} == {"warning"}
    assert "paper trades" in told[-1][1]
    assert "nobody has confirmed" in told[-1][1]
    watched.look()
    assert watched.alerts() == told
    monkeypatch.delenv(SECRET)
    for _ in range(2):
        watched.look()
    assert watched.alerts()[: len(told)] == told
    ((_, more),) = watched.alerts()[len(told) :]
    assert f"{SECRET} not set" in more


def test_without_a_key_nothing_is_examined_and_a_person_is_told(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY)
    watched.look()
    ((severity, text),) = watched.alerts()
    assert (watched.examined, severity) == (0, "warning")
    assert f"{KEY} not set" in text


def test_on_paper_nothing_is_examined_and_nobody_is_told(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM__VENUE__MODE", "paper")
    watched.look()
    assert (watched.examined, watched.alerts()) == (0, [])
