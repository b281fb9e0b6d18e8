"""The dead man's switch is refreshed only while each of its inputs is well: every input, well and ill.

And a guard that cannot be built is not well.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.daemon import SensorDaemon
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client import CollectorRegistry

from ml.decision.clock import ClockReading
from orchestration import guarding
from orchestration.guarding import AccountGuard, SlowChecks
from streaming.guard.duty import SwitchDuty
from streaming.guard.metrics import GuardMetrics
from streaming.guard.quotes import Quotes
from tests.doubles.stores import MemoryJournal
from trading.errors import VenueUnreachable
from trading.market import Pair
from trading.risk import Halt, HaltKind

ACCOUNT = "guarded"
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
SKEW = 5.0  # that is allowed
SENSORS, SCHEDULES = SensorDaemon.daemon_type(), "SCHEDULER"


@dataclass
class Inputs:
    """All inputs of the switch, which are well until a test says otherwise."""

    instance: dg.DagsterInstance
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    skew: float | None = 0.0
    monotonic: float = 1000.0
    unseen: dict[Pair, str] = field(default_factory=dict)
    venue: Any = None
    url: str = "postgresql://dagster"

    def __post_init__(self) -> None:
        self.journal.open_account(ACCOUNT, {"USDT": Decimal(1000)}, NOON)
        self.journal.note_reconciled(ACCOUNT, NOON)
        self.report(SENSORS, 0)

    def report(self, daemon: str, age: float) -> None:
        """Let a part of Dagster's daemon have reported so many seconds ago, and not since."""
        self.instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, daemon, "one", []))

    @property
    def services(self) -> Any:
        risk = SimpleNamespace(clock_skew_seconds=SKEW)
        return SimpleNamespace(
            journal=self.journal,
            account=SimpleNamespace(name=ACCOUNT),
            clock=lambda: ClockReading(NOON, "a test", self.skew),
            settings=SimpleNamespace(risk=risk),
            venue=self.venue,
        )

    def checks(self) -> SlowChecks:
        return SlowChecks(self.services, Path("home"), self.url, monotonic=lambda: self.monotonic)

    # --- what `AccountGuard` asks of the stream

    def why_unseen(self, pair: Pair, max_silence: float) -> str:
        return self.unseen.get(pair, "")

    def venue_now(self) -> datetime:
        return NOON

    def alert(self, kind: str, severity: str, text: str) -> None: ...


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inputs]:
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(guarding, "reporting_instance", lambda *_: instance)
        yield Inputs(instance)


def halt(inputs: Inputs, kind: HaltKind) -> None:
    inputs.journal.begin_halts(ACCOUNT, [Halt(kind, NOON, None, "a test")])


def clock_is_off(seconds: float | None) -> Any:
    return lambda inputs: setattr(inputs, "skew", seconds)


WELL = {
    "all of them": lambda inputs: None,
    "a halt of another kind": lambda inputs: halt(inputs, HaltKind.DRAWDOWN),
    "clock as far off as is allowed": clock_is_off(-SKEW),
    "sensor daemon that is slow to report": lambda inputs: inputs.report(SENSORS, 60),
    "another daemon that is gone": lambda inputs: inputs.report(SCHEDULES, 3600),
}  # fmt: skip
ILL = {
    "ledger and venue differ": (lambda inputs: halt(inputs, HaltKind.RECONCILIATION), "differ"),
    "clock that is fast": (clock_is_off(SKEW + 0.1), "clock is +5.1 s"),
    "clock that is slow": (clock_is_off(-SKEW - 0.1), "clock is -5.1 s"),
    "clock that cannot be read": (clock_is_off(None), "clock cannot be read"),
    "sensor daemon that is dead beside a live scheduler": (
        lambda inputs: (inputs.report(SENSORS, 120), inputs.report(SCHEDULES, 0)), "sensor daemon"
    ),
    "daemon whose reports cannot be found": (lambda inputs: setattr(inputs, "url", ""), "not known"),
}  # fmt: skip


@pytest.mark.parametrize("what", WELL)
def test_nothing_is_said_of_what_is_well(inputs: Inputs, what: str) -> None:
    WELL[what](inputs)
    checks = inputs.checks()
    checks.check()
    assert checks.problems() == []


@pytest.mark.parametrize("what", ILL)
def test_what_is_not_well_is_named(inputs: Inputs, what: str) -> None:
    become_ill, words = ILL[what]
    become_ill(inputs)
    checks = inputs.checks()
    checks.check()
    [said] = checks.problems()
    assert words in said


def test_before_the_first_look_nothing_is_well(inputs: Inputs) -> None:
    assert inputs.checks().problems() == ["not checked yet"]


def test_a_daemon_that_never_reported_is_not_well(monkeypatch: pytest.MonkeyPatch, inputs: Inputs) -> None:
    with dg.DagsterInstance.ephemeral() as another:
        monkeypatch.setattr(guarding, "reporting_instance", lambda *_: another)
        checks = inputs.checks()
        checks.check()
        assert "sensor daemon" in checks.problems()[0]


def test_a_look_that_is_itself_old_says_nothing(inputs: Inputs) -> None:
    checks = inputs.checks()
    checks.check()
    inputs.monotonic += guarding.CHECKED_WITHIN
    assert checks.problems() == []
    inputs.monotonic += 0.1
    assert checks.problems() == ["inputs could not be checked for a minute"]


def test_a_look_that_fails_leaves_the_one_before_to_grow_old(inputs: Inputs) -> None:
    checks = inputs.checks()
    checks.check()
    inputs.monotonic += guarding.CHECKED_WITHIN + 1
    checks.services.journal.reconciled_at = None  # cannot be asked
    with pytest.raises(TypeError):
        checks.check()
    assert checks.problems() == ["inputs could not be checked for a minute"]


def test_books_that_nobody_has_compared_are_not_well(inputs: Inputs) -> None:
    inputs.journal = MemoryJournal()
    inputs.journal.open_account(ACCOUNT, {}, NOON)
    checks = inputs.checks()
    checks.check()
    assert "not compared" in checks.problems()[0]


def test_books_are_well_until_they_were_not_compared_for_three_minutes_of_this_machine(
    inputs: Inputs,
) -> None:
    checks = inputs.checks()
    checks.check()
    inputs.monotonic += guarding.RECONCILED_WITHIN
    checks.check()
    assert checks.problems() == []
    inputs.monotonic += 0.1
    checks.check()
    assert "not compared" in checks.problems()[0]
    inputs.journal.note_reconciled(ACCOUNT, NOON + timedelta(seconds=1))
    checks.check()
    assert checks.problems() == []


# --- the same with the pairs' books, as the switch asks for them


def duty(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> SwitchDuty:
    """The switch of the account's guard, whose slow inputs were looked at."""
    looked: list[SlowChecks] = []

    def checks(*_: object) -> SlowChecks:
        looked.append(inputs.checks())
        return looked[-1]

    monkeypatch.setattr(guarding, "SlowChecks", checks)
    monkeypatch.setattr(guarding, "switch_of", lambda venue: lambda seconds: None)
    settings: Any = SimpleNamespace(
        guard=SimpleNamespace(switch_seconds=60, max_silence=5.0), market=SimpleNamespace(pairs=(BTC, XRP))
    )
    guard = AccountGuard(
        settings, Path("home"), "", inputs.url,
        epoch=lambda: 1, stream=inputs, quotes=Quotes((BTC, XRP), 0.01), metrics=GuardMetrics(CollectorRegistry()),
    )  # fmt: skip
    made = guard._switch_duty(inputs.services)
    assert made is not None
    looked[0].check()
    return made


@pytest.mark.parametrize("why", ["feed", "book", "venue", "silent"])
def test_one_pair_out_of_sight_is_enough(inputs: Inputs, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    switch = duty(inputs, monkeypatch)
    assert switch.facts()["inputs_not_well"] == []
    inputs.unseen[XRP] = why
    assert switch.facts()["inputs_not_well"] == [f"XRP/USDT: {why}"]


def test_the_switch_names_every_input_that_is_not_well(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs.unseen, inputs.skew = {BTC: "book"}, None
    inputs.report(SENSORS, 120)
    book, clock, daemon = duty(inputs, monkeypatch).facts()["inputs_not_well"]  # type: ignore[misc]
    assert (book, "clock" in clock, "daemon" in daemon) == ("BTC/USDT: book", True, True)


# --- a guard that cannot be built


def unbuilt(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> tuple[AccountGuard, Callable[[], None]]:
    """A guard whose venue cannot be reached, and what runs it until it has said so."""

    def build(*_: object) -> Any:
        raise VenueUnreachable("no way to the venue")

    monkeypatch.setattr(guarding, "Services", lambda *_: inputs.services)
    guard = AccountGuard(
        SimpleNamespace(), Path("home"), "", inputs.url,  # type: ignore[arg-type]
        epoch=lambda: 1, stream=inputs, quotes=Quotes((BTC, XRP), 0.01), metrics=GuardMetrics(CollectorRegistry()),
        monotonic=lambda: inputs.monotonic,
    )  # fmt: skip
    monkeypatch.setattr(guard, "_build", build)

    async def attempt() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(guard.run(stop))
        while guard.facts()["problem"] == "starting":
            await asyncio.sleep(0.01)
        stop.set()
        await running

    return guard, lambda: asyncio.run(attempt())


def test_a_guard_that_could_not_be_built_for_a_minute_is_not_well(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, attempt = unbuilt(inputs, monkeypatch)
    inputs.monotonic += 1000
    assert guard.health() == []  # it does not run: the account does not trade on this market
    attempt()
    inputs.monotonic += guarding.BUILT_WITHIN
    assert guard.health() == []
    inputs.monotonic += 0.1
    assert guard.health() == ["guard, nothing is watched: no way to the venue"]


def test_a_guard_without_an_account_that_has_opened_has_nothing_to_watch(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs.journal = MemoryJournal()
    guard, attempt = unbuilt(inputs, monkeypatch)
    attempt()
    inputs.monotonic += guarding.BUILT_WITHIN + 0.1
    assert guard.health() == []
