"""Bad days of what a decision is made from: the clock, the champion, the candles."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from ml.learning.bundle import write_bundle
from ml.learning.policy import WEIGHTS
from sensors.decisions import decision_sensor
from tests.bad_days.trading_day import PAIR, TradingDay
from tests.ml.decision.replay_world import random_policy
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.risk import HaltKind
from trading.stores.postgres import Database


@pytest.mark.parametrize("seconds", [10, -10])
def test_with_a_clock_that_is_ten_seconds_off_nothing_is_bought(day: TradingDay, seconds: int) -> None:
    day.open()
    day.exchange.arm("clock_skew", seconds=seconds)
    assert day.decide().refused_by == "clock skew"
    assert day.orders_at_exchange() == []
    assert "clock skew" in day.told("refusal")[0].text
    for _ in range(2):
        day.keep()
    [told] = day.told("clock")
    assert (told.severity, "this machine's clock is" in told.text) == ("warning", True)
    day.exchange.disarm()
    day.keep()
    assert [each.severity for each in day.told("clock")] == ["warning", "info"]
    day.ends_well()


@pytest.mark.parametrize("seconds", [10, -10])
def test_with_a_clock_that_is_ten_seconds_off_an_exit_goes_on(day: TradingDay, seconds: int) -> None:
    assert day.decide().is_filled()
    day.exchange.arm("clock_skew", seconds=seconds)
    services = day.services
    services.order_executor.flatten(day.account, services.clock().at, "enough")
    day.keep_until(lambda: services.journal.positions(day.account) == [])
    assert [each["side"] for each in day.orders_at_exchange() if each["state"] == "closed"] == ["buy", "sell"]
    day.exchange.disarm()
    day.ends_well()


def test_a_corrupt_champion_fails_the_decision_and_halts_when_it_stays_so(
    day: TradingDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM__RISK__FAILURES_IN_A_ROW", "2")
    day.open()
    policies = day.services.policies
    month = date(2024, 2, 1)
    manifest, layers = random_policy(1)
    bundle = write_bundle(policies.folder(PAIR, month), manifest, layers)
    day.services.promotions.record(PAIR, bundle.name, True, {}, at=datetime(2024, 3, 1, tzinfo=UTC))
    good = (bundle / WEIGHTS).read_bytes()
    (bundle / WEIGHTS).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert not day.decide().succeeded
    assert "InvalidBundle" in day.told("failed run")[0].text
    assert day.home.halts() == []
    day.close_candle()
    assert not day.decide().succeeded
    assert day.home.halts() == [HaltKind.FAILURES]
    assert "InvalidBundle" in day.told("failures")[0].text
    assert day.orders_at_exchange() == []
    day.services.promotions.record(PAIR, bundle.name, False, {}, at=datetime(2024, 3, 13, tzinfo=UTC))
    (bundle / WEIGHTS).write_bytes(good)
    assert day.home.command("resume", "--reason", "restored").exit_code == 0
    day.decides_on_the_next_candle()  # the champion has a vote again, and nothing is bought
    day.is_in_order()
    assert day.home.halts() == []


def test_of_a_backlog_of_an_hour_only_the_newest_candle_is_decided_on(day: TradingDay) -> None:
    services = day.services
    closes = [
        services.market_reader.newest_close_time(PAIR) - timedelta(minutes=59 - each) for each in range(60)
    ]
    for close in closes:
        event = candle_closed(services.dataset, PAIR, close)
        services.bus.publish(CANDLE_CLOSED, event.key, event.values)
    asked = requests(day)
    assert [each.tags[f"marketloom/candle.{PAIR.key}"] for each in asked] == [closes[-1].isoformat()]
    [told] = day.told("decisions")
    first, last = (f"{each:%d %b %H:%M}" for each in (closes[0], closes[-2]))
    assert f"{PAIR}: 59 candles were passed over, those that closed from {first} to {last} UTC" in told.text
    assert told.severity == "info"
    assert day.decide().is_filled()
    assert len(services.journal.decisions(day.account)) == 1
    day.ends_well()


def test_a_candle_that_is_an_hour_old_is_decided_on_and_not_bought_on(day: TradingDay) -> None:
    day.open()
    day.exchange.advance(3600)  # nothing of it is stored
    assert day.decide().refused_by == "candle age"
    assert day.orders_at_exchange() == []
    assert "candle age" in day.told("refusal")[0].text
    day.ends_well()


def test_with_balances_that_nobody_has_compared_nothing_is_bought_until_the_keeper_has(
    day: TradingDay,
) -> None:
    day.open()
    with Database(day.home.dsn).transaction() as connection:  # the keeper is dead
        connection.execute("UPDATE accounts SET compared_on = compared_on - interval '2 hours'")
    assert day.decide().refused_by == "reconciliation age"
    assert day.orders_at_exchange() == []
    assert "reconciliation age" in day.told("refusal")[0].text
    day.keep()
    day.ends_well()


def requests(day: TradingDay) -> list[dg.RunRequest]:
    """Return what the pair's sensor asks for now."""
    sensor = decision_sensor(PAIR.key, (PAIR,), patience=0.0)
    services = day.services
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pair", [PAIR.key])
        resources: Mapping[str, Any] = {
            "bus": services.bus,
            "universe": services.settings.market.universe,
            "account": services.account,
            "failure_notes": services.failure_notes,
        }
        context = dg.build_sensor_context(instance, cursor='{"offset": 0}', resources=resources)
        found = sensor(context)
    assert isinstance(found, dg.SensorResult)
    return list(found.run_requests or [])
