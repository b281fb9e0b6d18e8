"""Candles that close and are not decided on are told of once, pair by pair; a switched-off sensor is nobody's fault."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus

from ml.decision.decision_id import decision_id
from orchestration.commands.decision_watch import OVERDUE_SECONDS, REMEMBERED, DecisionWatch
from orchestration.services import Services
from orchestration.settings import load_settings
from sensors.decisions import decided_pairs, sensor_name
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode
from tests.contracts.trade import receipt
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair
from trading.ports import FailureNote

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MINUTES = 60.0
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")


class World:
    """A bus and a journal in PostgreSQL, sensors as `on` says, and a clock of the test's own."""

    def __init__(self, dsn: str, home: Path) -> None:
        self.dsn, self.now = dsn, 1000.0
        self.services = Services(load_settings(), home, dsn)
        self.services.journal.open_account(self.account, {}, NOON - MINUTE)
        self.on = set(self.services.settings.market.pairs)
        self.closed = 0
        self.restart()

    @property
    def account(self) -> str:
        return self.services.account.name

    def restart(self) -> None:
        self.watch = DecisionWatch(lambda: self.services, lambda _: self.on, lambda: self.now)
        self.watch.look()

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 5.0
            self.watch.look()

    def close(self, pair: Pair = BTC, dataset: str = "") -> datetime:
        """The pair's next candle closes."""
        self.closed += 1
        at = NOON + self.closed * MINUTE
        event = candle_closed(dataset or self.services.dataset, pair, at)
        self.services.bus.publish(CANDLE_CLOSED, event.key, event.values)
        return at

    def decide(self, close: datetime, pair: Pair = BTC) -> None:
        name = decision_id(self.account, pair, close)
        facts = receipt(name, account=self.account, pair=str(pair), decided_at=close.isoformat())
        assert self.services.journal.record_decision(facts, None)

    def told(self) -> list[tuple[str, str]]:
        reader = PostgresBus(self.dsn).reader([ALERTS], from_start=True)
        messages = [decode(each, AlertMessage) for each in reader.poll(100, 0)]
        reader.close()
        return [
            (each.severity, each.text.partition(". ")[0]) for each in messages if each.kind == "decisions"
        ]


@pytest.fixture
def world(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("MARKETLOOM__MARKET__SOURCE", "kraken")
    return World(dsn, tmp_path)


FAULT = ("error", "candles close and nothing is decided: BTC/USDT since the candle of 12:01 UTC")
OVER = ("info", "decisions are made again: BTC/USDT")


def test_a_candle_that_nobody_decides_on_is_told_of_once_and_the_next_decision_ends_it(world: World) -> None:
    world.close()
    world.pass_by(OVERDUE_SECONDS - MINUTES)
    assert world.told() == []
    for _ in range(20):
        newest = world.close()
        world.pass_by(MINUTES)
    assert world.told() == [FAULT]
    world.decide(newest)
    world.pass_by(MINUTES)
    assert world.told() == [FAULT, OVER]


def test_a_second_outage_is_told_of_again(world: World) -> None:
    world.close()
    world.pass_by(2 * OVERDUE_SECONDS)
    world.decide(world.close())
    world.pass_by(MINUTES)
    world.close()
    world.pass_by(2 * OVERDUE_SECONDS)
    assert [severity for severity, _ in world.told()] == ["error", "info", "error"]


def test_decisions_that_come_late_and_leave_candles_out_are_no_outage(world: World) -> None:
    for number in range(30):
        close = world.close()
        world.pass_by(MINUTES)
        if number % 4 == 3:
            world.decide(close - MINUTE)
    assert world.told() == []


def test_a_market_in_which_nothing_trades_closes_no_candle_and_nothing_is_missed(world: World) -> None:
    world.decide(world.close())
    world.pass_by(100 * OVERDUE_SECONDS)
    assert world.told() == []


def test_while_the_sensor_is_off_nothing_is_expected(world: World) -> None:
    world.on.remove(BTC)
    for _ in range(20):
        world.close()
        world.pass_by(MINUTES)
    assert world.told() == []
    world.on.add(BTC)
    world.pass_by(2 * OVERDUE_SECONDS)
    assert world.told() == []  # candles of before: the sensor begins with the newest, or with none
    world.close()
    world.pass_by(2 * OVERDUE_SECONDS)
    assert [severity for severity, _ in world.told()] == ["error"]


def test_a_sensor_that_is_switched_off_in_an_outage_ends_it_without_a_word(world: World) -> None:
    world.close()
    world.pass_by(2 * OVERDUE_SECONDS)
    world.on.remove(BTC)
    world.pass_by(2 * OVERDUE_SECONDS)
    assert world.told() == [FAULT]


def test_one_pair_s_outage_does_not_hide_another_s(world: World) -> None:
    world.close()
    world.pass_by(2 * OVERDUE_SECONDS)
    world.close(XRP)
    world.pass_by(2 * OVERDUE_SECONDS)
    assert world.told() == [
        FAULT,
        ("error", "candles close and nothing is decided: XRP/USDT since the candle of 12:02 UTC"),
    ]
    world.decide(NOON + 2 * MINUTE, XRP)
    world.pass_by(MINUTES)
    assert world.told()[-1] == ("info", "decisions are made again: XRP/USDT")


def test_a_candle_that_was_given_up_was_told_of_already(world: World) -> None:
    close = world.close()
    name = decision_id(world.account, BTC, close)
    world.services.failure_notes.add(FailureNote(name, "decide", BTC.key, "given up: 3 runs failed", NOON))
    world.pass_by(2 * OVERDUE_SECONDS)
    assert world.told() == []


def test_candles_of_another_dataset_and_of_before_the_start_are_not_waited_for(world: World) -> None:
    world.close(dataset="simulated-1h")
    world.close()
    world.restart()
    world.pass_by(2 * OVERDUE_SECONDS)
    assert world.told() == []


def test_a_day_long_outage_stays_small_and_ends_with_the_next_decision(world: World) -> None:
    for _ in range(REMEMBERED + 200):
        newest = world.close()
    world.pass_by(2 * OVERDUE_SECONDS)
    assert world.told() == [FAULT]
    assert len(world.watch._waiting[BTC]) == REMEMBERED
    world.decide(newest)
    world.pass_by(MINUTES)
    assert world.told() == [FAULT, OVER]


# --- which sensors are on, by Dagster's storage

PAIRS = [Pair(f"A{number}", "USDT") for number in range(10)]  # more than there are sensors: some share one


def switch(instance: dg.DagsterInstance, name: str, status: InstigatorStatus) -> None:
    location = RegisteredCodeLocationOrigin("marketloom")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    known = name in {each.name for each in instance.all_instigator_state()}
    state = InstigatorState(origin, InstigatorType.SENSOR, status)
    if known:
        instance.update_instigator_state(state)
    else:
        instance.add_instigator_state(state)


def test_a_pair_is_decided_on_while_its_sensor_or_that_of_its_shard_is_on(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert decided_pairs(instance, PAIRS) == frozenset()
        switch(instance, sensor_name("shard_1"), InstigatorStatus.RUNNING)
        switch(instance, sensor_name(PAIRS[2].key), InstigatorStatus.RUNNING)
        switch(instance, "run_failures", InstigatorStatus.RUNNING)
        switch(instance, sensor_name(PAIRS[3].key), InstigatorStatus.DECLARED_IN_CODE)  # off by its code
        assert decided_pairs(instance, PAIRS) == {PAIRS[0], PAIRS[8], PAIRS[2]}
        switch(instance, sensor_name(PAIRS[2].key), InstigatorStatus.STOPPED)
        assert decided_pairs(instance, PAIRS) == {PAIRS[0], PAIRS[8]}
