"""The guard of a real `marketloom stream` beside a sandbox: no keeper, no daemon, no decision takes part.

What it must leave behind when it is killed: no entry, and every position with its stop.
"""

import re
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from orchestration import system
from orchestration.system import DAGSTER_POSTGRES
from tests.contracts.trade import receipt
from tests.orchestration.commands.sandbox_home import SandboxHome, sandbox_home
from tests.streaming.recorder.running_stream import RunningStream
from tests.streaming.sandbox.simulated_exchange import BTC, INSTRUMENTS, XRP
from trading.account_minute import AccountMinute
from trading.market import Pair
from trading.orders import AT_VENUE, Order, OrderIntent, OrderKind, OrderStatus, Side, round_price
from trading.portfolio import equity
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.order_request import KrakenOrderType, KrakenTimeInForce, OrderRequest

SWITCH_SECONDS = 5
SENSORS = "SENSOR"  # Dagster's name for its sensor daemon
MAX_SILENCE = 2.0
SETTINGS = {
    "MARKETLOOM__GUARD__SWITCH_SECONDS": str(SWITCH_SECONDS),
    "MARKETLOOM__GUARD__MAX_SILENCE": str(MAX_SILENCE),
    "MARKETLOOM__GUARD__TRAIL_SECONDS": "0.2",
    "MARKETLOOM__GUARD__STOP_OVERDUE": "60",
}


class GuardedStream(RunningStream):
    """With what its guard says of itself."""

    @property
    def guard(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status()["guard"]
        return found

    def watches(self, pair: Pair) -> bool:
        """Whether it knows the position, its stop at the venue, and the price."""
        guard = self.guard
        known = guard["positions"].get(str(pair)) if guard["watching"] else None
        return bool(known and known["stop_rests"] and str(pair) not in guard["blind"])


@pytest.fixture
def home(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxHome]:
    with sandbox_home(tmp_path, dsn, monkeypatch) as opened:
        opened.open()
        yield opened


@pytest.fixture
def stream(home: SandboxHome) -> Iterator[GuardedStream]:
    running = GuardedStream(home.exchange, home.home, home.dsn, SETTINGS)
    running.start()
    try:
        yield running
    finally:
        if running.process is not None:
            running.kill()


def client(home: SandboxHome) -> KrakenClient:
    services = home.services
    return services.exchange.client(services.key_state)


def levels(home: SandboxHome, pair: Pair = BTC) -> dict[str, Decimal]:
    """A plan at the present price: stop 2 % below, target 4 % above, trails from 1 % on."""
    price = home.exchange.last(pair)
    return {
        "entry_price": price, "stop_loss": price * Decimal("0.98"), "take_profit": price * Decimal("1.04"),
        "trailing_after": price * Decimal("1.01"), "trailing_distance": price * Decimal("0.02"),
    }  # fmt: skip


def move(home: SandboxHome, factor: str, pair: Pair = BTC) -> None:
    """The market trades at this share of its price, and its makers quote there."""
    price = home.exchange.last(pair) * Decimal(factor)
    home.exchange.trade(pair, price.quantize(Decimal("0.1")))


def is_closed(home: SandboxHome, pair: Pair = BTC) -> bool:
    return home.services.journal.position(home.account, pair) is None


def closings(home: SandboxHome) -> list[Decimal]:
    fills = home.services.journal.fills(home.account)
    return [each.quantity for each in fills if each.side is Side.SELL]


def resting(home: SandboxHome, order_type: str) -> list[dict[str, Any]]:
    """What rests at the exchange, by its own books: asked with the account's key it would cost what the guard needs."""
    rows = home.exchange.export()["orders"]
    return [row for row in rows if row["state"] in ("pending", "open") and row["order_type"] == order_type]


def stops(home: SandboxHome) -> list[dict[str, Any]]:
    """What sells below the market."""
    return resting(home, "stop-loss")


def entries(home: SandboxHome) -> list[dict[str, Any]]:
    return resting(home, "limit")


def test_a_touched_target_is_sold_by_the_stream_alone(home: SandboxHome, stream: GuardedStream) -> None:
    home.trade(**levels(home))
    stream.until(lambda: stream.watches(BTC))
    move(home, "1.05")
    stream.until(lambda: is_closed(home))
    assert sum(closings(home)) == Decimal("0.01")
    assert stops(home) == []
    assert 'marketloom_guard_exits_total{cause="take-profit",pair="BTC/USDT"} 1.0' in stream.metrics()


def test_a_stop_follows_the_price_at_the_exchange_and_a_restart_keeps_it(
    home: SandboxHome, stream: GuardedStream
) -> None:
    home.trade(**levels(home))
    stream.until(lambda: stream.watches(BTC))
    before = home.exchange.last(BTC)
    move(home, "1.02")
    stream.until(lambda: trigger(home) > before * Decimal("0.985"))
    stream.kill()
    kept = home.services.journal.position(home.account, BTC)
    assert kept is not None
    assert kept.best_price is not None
    stream.start()
    stream.until(lambda: stream.watches(BTC))
    again = stream.guard["positions"]["BTC/USDT"]
    assert Decimal(again["stop_loss"]) == kept.stop_loss
    assert Decimal(again["best_price"]) == kept.best_price
    assert kept.stop_loss is not None
    assert trigger(home) == round_price(kept.stop_loss, INSTRUMENTS[BTC].price_increment)


def trigger(home: SandboxHome) -> Decimal:
    (stop,) = stops(home)
    return Decimal(stop["trigger_price"])


def test_killed_while_the_exit_is_on_its_way_the_next_process_sells_it_once(
    home: SandboxHome, stream: GuardedStream
) -> None:
    home.trade(**levels(home))
    stream.until(lambda: stream.watches(BTC))
    home.exchange.arm("slow_ack", method="add_order", seconds=600)
    move(home, "1.05")
    stream.until(lambda: OrderStatus.SENT in exits(home))
    stream.kill()
    home.exchange.disarm()
    stream.start()
    # Killed between the ledger and the wire, it counts as gone after 68 s of the venue's clock, which stands here.
    stream.until(lambda: is_closed(home) or home.exchange.advance(1.0))
    assert exits(home) == []
    assert sum(closings(home)) == Decimal("0.01")
    assert stops(home) == []


def exits(home: SandboxHome) -> list[OrderStatus]:
    working = home.services.journal.working_orders(home.account)
    return [each.order.status for each in working if each.intent.kind is OrderKind.EXIT]


def test_a_silent_book_is_not_acted_on_though_heartbeats_go_on_and_the_target_is_sold_once_it_speaks(
    home: SandboxHome, stream: GuardedStream
) -> None:
    home.trade(**levels(home))
    stream.until(lambda: stream.watches(BTC))
    home.exchange.arm("silent_channel", channel="book")
    time.sleep(MAX_SILENCE)  # of the book; the connection's heartbeats go on
    move(home, "1.05")
    stream.until(lambda: stream.guard["blind"].get("BTC/USDT") == "silent")
    assert not is_closed(home)
    assert 'marketloom_guard_blind_total{pair="BTC/USDT",reason="silent"}' in stream.metrics()
    home.exchange.disarm()
    move(home, "1.001")
    stream.until(lambda: is_closed(home))
    assert sum(closings(home)) == Decimal("0.01")
    assert stops(home) == []


def test_killed_with_the_switch_armed_no_entry_is_left(home: SandboxHome, stream: GuardedStream) -> None:
    stream.until(lambda: stream.guard["watching"] and stream.guard["switch"]["state"] == "off")
    rest(home, kind=OrderKind.CONVERSION)
    stream.until(lambda: stream.guard["switch"]["state"] in ("armed", "not refreshed"))
    assert len(entries(home)) == 1
    stream.kill()
    stream.process = None
    stream.until(lambda: entries(home) == [])


def test_it_is_refreshed_only_while_all_is_well_and_says_what_is_not(
    home: SandboxHome, stream: GuardedStream
) -> None:
    stream.until(lambda: stream.guard["watching"])
    rest(home, kind=OrderKind.CONVERSION)
    why = stream.until(lambda: ", ".join(stream.guard["switch"]["not_refreshed_because"]))
    assert "were not compared" in why  # there is no keeper
    assert "daemon" in why
    stream.until(lambda: entries(home) == [])  # it has triggered, and this process lives on
    stream.until(lambda: any("not refreshed" in each["text"] for each in stream.published("alerts")))
    assert stream.process is not None
    assert stream.process.poll() is None


def test_over_an_order_that_rests_for_longer_it_is_refreshed_by_the_real_inputs_until_the_sensor_daemon_is_dead(
    home: SandboxHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = home.dsn.replace("postgresql://", "postgresql+psycopg2://", 1)
    instance = reporting_instance(home.home, monkeypatch, address)
    seconds = 3 * SWITCH_SECONDS  # a busy machine must refresh it within two thirds of it
    named = {"MARKETLOOM__GUARD__SWITCH_SECONDS": str(seconds), DAGSTER_POSTGRES: address}
    running = GuardedStream(home.exchange, home.home, home.dsn, {**SETTINGS, **named})

    def is_well() -> bool:
        """What the keeper and Dagster's daemon do all the time, and whether the guard sees it."""
        reports(instance, SENSORS)
        services = home.services
        services.reconciler.reconcile(home.account, services.clock().at)
        return running.guard["watching"] and running.guard["switch"]["inputs_not_well"] == []

    running.start()
    try:
        running.until(is_well)
        rest(home, kind=OrderKind.CONVERSION)
        running.until(lambda: is_well() and armed(running) > 3)  # so it has outlived the first setting
        assert running.guard["switch"]["state"] == "armed"
        assert len(entries(home)) == 1
        reports(instance, "SCHEDULER")
        reports(instance, SENSORS, age=3600)
        running.until(lambda: running.guard["switch"]["state"] == "not refreshed")
        assert running.guard["switch"]["not_refreshed_because"] == [
            "Dagster's sensor daemon has not reported for more than a minute"
        ]
        running.until(lambda: entries(home) == [])
    finally:
        running.kill()
        instance.dispose()


def reporting_instance(folder: Path, patch: pytest.MonkeyPatch, address: str) -> dg.DagsterInstance:
    """The instance of the home in this process, whose environment it leaves as it was."""
    for name in ("DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY", DAGSTER_POSTGRES):
        patch.setenv(name, "")
    return system.reporting_instance(folder, address)


def reports(instance: dg.DagsterInstance, daemon: str, age: float = 0.0) -> None:
    """A part of Dagster's daemon has reported so many seconds ago."""
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, daemon, "one", []))


def armed(running: GuardedStream) -> int:
    """How often the venue was told to cancel all orders."""
    found = re.search(r'guard_switch_calls_total{.*"armed"} (\d+)', running.metrics())
    return int(found[1]) if found else 0


def test_killed_beside_a_position_its_stop_stays_and_the_entry_expires(
    home: SandboxHome, stream: GuardedStream
) -> None:
    home.trade(**levels(home))
    stream.until(lambda: stream.watches(BTC))
    rest(home, kind=OrderKind.ENTRY, seconds=SWITCH_SECONDS)
    stream.until(lambda: len(entries(home)) == 1)
    assert stream.guard["switch"]["state"] == "off"  # never over a stop
    stream.kill()
    stream.process = None
    stream.until(lambda: entries(home) == [])
    assert len(stops(home)) == 1
    position = home.services.journal.position(home.account, BTC)
    assert position is not None
    assert Decimal(stops(home)[0]["quantity"]) == position.quantity


def minutes(home: SandboxHome) -> list[AccountMinute]:
    far = datetime(2100, 1, 1, tzinfo=UTC)
    return home.services.balance_history.minutes(home.account, far - timedelta(days=36_500), far)


def test_the_account_s_minutes_are_written_and_a_restart_in_the_middle_of_one_writes_it_once(
    home: SandboxHome, stream: GuardedStream
) -> None:
    home.trade(**levels(home))
    stream.until(lambda: stream.watches(BTC))
    home.exchange.advance(60)
    *_, first = stream.until(lambda: [each for each in minutes(home) if each.positions])
    before = minutes(home)
    stream.kill()
    home.exchange.advance(30)
    stream.start()
    stream.until(lambda: stream.watches(BTC))
    move(home, "1.005")
    home.exchange.advance(30)
    stream.until(lambda: len(minutes(home)) > len(before))
    *again, second = minutes(home)
    assert again == before
    assert second.minute == first.minute + timedelta(minutes=1)
    history = home.services.balance_history
    for each in (first, second):
        assert 0 <= (each.at - each.minute - timedelta(minutes=1)).total_seconds() < 15
        [position] = each.positions
        assert (position.pair, position.quantity) == (BTC, Decimal("0.01"))
        assert position.price is not None
        assert position.unrealised_pnl == (position.price - position.entry_price) * position.quantity
        booked = history.ledger_balances(home.account, each.at, each.newest_entry)
        assert each.equity == equity(booked, "USDT", each.prices)
    assert second.unrealised_pnl is not None
    assert first.unrealised_pnl is not None
    assert second.unrealised_pnl > first.unrealised_pnl
    assert stream.metrics().count('marketloom_guard_minutes_total{priced="yes"} 1.0') == 1  # of this process


def rest(home: SandboxHome, kind: OrderKind, seconds: int | None = None) -> None:
    """An order that opens something rests at the exchange, far from the market, and in the ledger."""
    services, name = home.services, str(uuid.uuid4())
    price = (home.exchange.last(XRP) * Decimal("0.8")).quantize(Decimal("0.00001"))
    expires = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    request = OrderRequest(
        XRP, Side.BUY, Decimal(100), KrakenOrderType.LIMIT, price, client_order_id=name,
        time_in_force=None if expires is None else KrakenTimeInForce.GTD, expires_at=expires,
    )  # fmt: skip
    (venue_order_id,) = client(home).add_order(request).txid
    at = services.clock().at
    intent = OrderIntent(
        name, name, home.account, XRP, Side.BUY, Decimal(100), False,
        None if kind is OrderKind.CONVERSION else price * Decimal("0.98"), None, at,
        converts=kind is OrderKind.CONVERSION,
    )  # fmt: skip
    services.journal.record_decision(receipt(name) | {"account": home.account, "pair": str(XRP)}, None)
    order = Order(name, OrderStatus.ACKNOWLEDGED, "rests", at, attempt=1, venue_order_id=venue_order_id)
    assert services.journal.add_order(intent, order, "a test")
    (found,) = (
        each for each in services.journal.working_orders(home.account) if each.intent.intent_id == name
    )
    assert found.order.status in AT_VENUE


def test_on_paper_a_touched_target_is_sold_at_the_next_candle(
    home: SandboxHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM__VENUE__MODE", "paper")
    services = home.services
    services.instrument_file.write(list(services.known_instruments.values()))
    home.exchange.advance(60)
    opened = services.clock().at
    services.journal.open_account(home.account, {"USDT": Decimal(10_000)}, opened)
    home.trade(**levels(home))
    home.exchange.advance(120)
    services.order_executor.carry_out(home.account, services.clock().at)
    assert not is_closed(home)
    running = GuardedStream(home.exchange, home.home, home.dsn, SETTINGS)
    running.start()
    try:
        running.until(lambda: running.watches(BTC))
        assert running.guard["switch"] is None
        move(home, "1.05")
        running.until(lambda: exits(home))
        home.exchange.advance(120)
        keeper = home.services  # a candle later, as the account's keeper does
        running.until(
            lambda: keeper.order_executor.carry_out(home.account, keeper.clock().at) and is_closed(home)
        )
    finally:
        running.kill()
    assert sum(closings(home)) == Decimal("0.01")
    written = minutes(home)
    assert [each.positions[0].quantity for each in written] == [Decimal("0.01")] * len(written)
    assert written
    assert all(each.equity is not None for each in written)
