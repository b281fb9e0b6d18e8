"""Candles and orders of the whole graph against a running sandbox, as the settings wire them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import dagster as dg
import httpx
import polars as pl
import pytest

from assets.gap_checks import gaps_are_classified
from assets.market import candles_keep_their_invariants, ohlcv_from
from orchestration.services import Services
from orchestration.settings import load_settings, write_chosen
from orchestration.settings_schema import Settings
from orchestration.sources import candle_source, market_clock, sandbox_time
from orchestration.venues import ExchangeAccess, exchange_access
from tests.contracts.trade import intent, receipt
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryJournal, MemoryKeyState, MemoryTable
from tests.doubles.streamed import nothing_streamed
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BALANCES, BTC, INSTRUMENTS, MARKET, STARTS, XRP
from trading.candle_events import CANDLE_CLOSED
from trading.errors import NotAuthorised
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, PairStatus
from trading.orders import Order, OrderStatus, Side

MONTH = "2024-03-01|BTC-USDT"
CHOSEN_BY_A_DEMO = """[market]
source = "files"
venue = "binance"
timeframe = "1h"
until = "2020-02-21T23:00:00+00:00"
news = "/somewhere/news"
"""
KEYS = MemoryKeyState()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `make demo DATA=` has run: what it chose ends before the sandbox's market begins."""
    folder = tmp_path_factory.mktemp("home")
    write_chosen(folder, CHOSEN_BY_A_DEMO)
    return folder


@pytest.fixture(scope="module")
def exchange(home: Path) -> Iterator[Sandbox]:
    with sandbox(home / "sandbox") as running:
        yield running


@pytest.fixture
def settings(home: Path, exchange: Sandbox) -> Settings:
    return load_settings(
        {
            "MARKETLOOM_HOME": str(home),
            "MARKETLOOM__MARKET__SOURCE": "sandbox",
            "MARKETLOOM__MARKET__TIMEFRAME": "1m",
            "MARKETLOOM__VENUE__MODE": "sandbox",
            "MARKETLOOM__SANDBOX__PORT": exchange.url.rpartition(":")[2],
        }
    )


def materialised(settings: Settings, home: Path, instance: dg.DagsterInstance) -> tuple[Any, ...]:
    store, bus = MemoryTable(CANDLE_SCHEMA), MemoryEventLog()
    instance.add_dynamic_partitions("pair", [BTC.key])
    result = dg.materialize(
        [ohlcv_from(settings.market.pool), candles_keep_their_invariants, gaps_are_classified],
        partition_key=MONTH,
        instance=instance,
        resources={
            "universe": settings.market.universe,
            "candle_source": candle_source(settings, home),
            "candle_store": store,
            "bus": bus,
            "arrival": lambda: None,
            "stream_coverage": nothing_streamed(),
        },
    )
    return result, store, bus


def test_the_month_that_is_stored_is_the_market_that_the_sandbox_plays(
    settings: Settings, home: Path, exchange: Sandbox
) -> None:
    exchange.advance(1800)
    logs = {"python_logs": {"managed_python_loggers": ["marketloom"], "python_log_level": "INFO"}}
    with dg.instance_for_test(overrides=logs) as instance:
        result, store, bus = materialised(settings, home, instance)
        said = [record.user_message for record in instance.all_logs(result.run_id)]
    assert all(check.passed for check in result.get_asset_check_evaluations())
    stored = store.read(BTC, STARTS.date().replace(day=1))
    assert not stored.is_empty()
    played = MARKET.candles(BTC, stored["open_time"][0], STARTS + timedelta(seconds=1800))
    traded = played.filter(pl.col("volume") >= 1e-8)
    assert stored["open_time"].to_list() == traded["open_time"].to_list()
    for name, within in (
        ("open", 0.051),
        ("high", 0.051),
        ("low", 0.051),
        ("close", 0.051),
        ("volume", 3e-8),
    ):
        assert (stored[name] - traded[name]).abs().max() <= within, name
    [event] = bus.read(CANDLE_CLOSED, 0)
    assert event.payload["close_time"] == stored["close_time"][-1].isoformat()
    assert any("sandbox BTC/USDT trades" in line and "%" in line for line in said)


def balances(access: ExchangeAccess) -> dict[str, Decimal]:
    """What the exchange says is held now."""
    with access.client(KEYS) as client:
        return client.balance()


class Trading:
    """An account at the sandbox, with the executor that the settings wire."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self.settings, self.journal = settings, MemoryJournal()
        access = exchange_access("sandbox", settings, home)
        self.account = access.account
        self.journal.open_account(self.account, balances(access), STARTS)
        self.executor = OrderExecutor(
            self.journal,
            access.orders(KEYS, print),
            lambda *_: CANDLE_SCHEMA.to_frame(),
            ExecutionRules(entry_age=settings.risk.candle_age * settings.market.timeframe.duration),
            holder="test",
        )

    def order(self, name: str, created_ago: timedelta = timedelta(0)) -> Order:
        """Commit an entry and carry it out by the sandbox's market time."""
        now = sandbox_time(self.settings.sandbox.url, None)()
        identity = str(uuid5(NAMESPACE_OID, name))
        wanted = intent(name, account=self.account, intent_id=identity, created_at=now - created_ago,
                        stop_loss=Decimal(1000), take_profit=None)  # fmt: skip
        self.journal.record_decision(receipt(name) | {"account": self.account}, wanted)
        self.executor.carry_out(self.account, now)
        order = self.journal.order(identity)
        assert order is not None
        return order


def test_an_intent_is_filled_on_the_sandbox_and_booked_as_the_sandbox_booked_it(
    settings: Settings, home: Path, exchange: Sandbox
) -> None:
    trading = Trading(settings, home)
    assert trading.journal.balances(trading.account) == BALANCES
    order = trading.order("decision-1")
    assert order.status is OrderStatus.FILLED, order.reason
    [fill] = trading.journal.fills(trading.account)
    assert fill.side is Side.BUY
    booked, held = (
        trading.journal.balances(trading.account),
        balances(exchange_access("sandbox", settings, home)),
    )
    assert booked["BTC"] == held["BTC"] == BALANCES["BTC"] + fill.quantity
    assert abs(booked["USDT"] - held["USDT"]) < Decimal("0.0001")


def test_an_entry_that_is_older_than_its_candles_may_be_by_market_time_is_not_placed_on_the_sandbox(
    settings: Settings, home: Path
) -> None:
    order = Trading(settings, home).order("decision-2", created_ago=timedelta(minutes=2, seconds=1))
    assert order.status is OrderStatus.EXPIRED
    assert order.attempt == 0


def test_the_clock_of_a_run_is_the_market_time_of_the_sandbox(
    settings: Settings, home: Path, exchange: Sandbox
) -> None:
    clock = market_clock(settings, home, lambda: STARTS)
    before = clock()
    exchange.advance(3600)
    after = clock()
    assert after.at - before.at >= timedelta(hours=1)
    assert (after.source, after.skew_seconds) == ("the sandbox's market time", 0.0)


def test_a_clock_that_is_hours_off_the_sandboxs_is_measured(
    settings: Settings, home: Path, exchange: Sandbox
) -> None:
    admin, fault = {"X-Sandbox-Admin": "1"}, {"kind": "clock_skew", "seconds": 18_000}
    httpx.post(f"{exchange.url}/admin/faults", json=fault, headers=admin).raise_for_status()
    try:
        off = market_clock(settings, home, lambda: STARTS)().skew_seconds
    finally:
        httpx.delete(f"{exchange.url}/admin/faults", headers=admin).raise_for_status()
    assert off == pytest.approx(-18_000, abs=5)


def test_a_home_without_a_sandbox_says_so(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotAuthorised, match="marketloom sandbox"):
        exchange_access("sandbox", settings, tmp_path)


def test_what_decides_sees_the_sandboxes_own_rules_and_its_status_of_the_moment(
    settings: Settings, home: Path, exchange: Sandbox, dsn: str
) -> None:
    services = Services(settings, home, dsn)
    known = services.known_instruments
    assert known == {pair: replace(INSTRUMENTS[pair], status=PairStatus.ONLINE) for pair in known}
    services.instrument_file.write(list(known.values()))
    exchange.admin("status", {"pair": str(BTC), "status": "reduce_only"})
    try:
        seen = services.current_instruments
        assert [seen[pair].status for pair in (BTC, XRP)] == [PairStatus.REDUCE_ONLY, PairStatus.ONLINE]
        assert services.input_reader.instrument(BTC).status is PairStatus.REDUCE_ONLY
    finally:
        exchange.admin("status", {"pair": str(BTC), "status": "online"})


def test_paper_trading_pays_the_fees_of_the_candles_time(home: Path, dsn: str, tmp_path: Path) -> None:
    """Its clock on history is the close of the newest stored candle."""
    services = Services(load_settings({"MARKETLOOM_HOME": str(tmp_path)}), tmp_path, dsn)
    services.instrument_file.write(list(services.known_instruments.values()))
    assert services.instrument_file.read()[BTC].taker_fee == Decimal("0.004")
    month = STARTS.date().replace(day=1)
    services.candle_store.write(BTC, month, MARKET.candles(BTC, STARTS, STARTS + timedelta(hours=1)))
    assert services.instruments[BTC].taker_fee == Decimal("0.0026")  # in March 2024
