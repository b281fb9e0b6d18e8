"""Candles and orders of the whole graph against a running sandbox, as the settings wire them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.market import candles_keep_their_invariants, gaps_are_classified, ohlcv_from
from orchestration.resources import Services
from orchestration.settings import load_settings, write_chosen
from orchestration.settings_schema import Settings
from orchestration.sources import candle_source, sandbox_time
from orchestration.venues import sandbox_balances, sandbox_venue
from streaming.bus import CANDLE_CLOSED
from tests.contracts.trade import intent, receipt
from tests.doubles.stores import MemoryJournal, MemoryKeyState, MemoryTable
from tests.memory_bus import MemoryBus
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BALANCES, BTC, INSTRUMENTS, MARKET, STARTS, XRP
from trading.errors import NotAuthorised
from trading.market import CANDLE_SCHEMA, PairStatus
from trading.orders import OrderStatus

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
    store, bus = MemoryTable(CANDLE_SCHEMA), MemoryBus()
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
            "arrival": no_arrival,
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


def test_an_intent_is_filled_on_the_sandbox_and_booked_as_the_sandbox_booked_it(
    settings: Settings, home: Path, exchange: Sandbox
) -> None:
    journal = MemoryJournal()
    opening = sandbox_balances(settings, home, KEYS)
    assert dict(opening) == BALANCES
    journal.open_account(settings.account, opening, STARTS)
    now = sandbox_time(settings.sandbox.url, None)()
    identity = "8c7b0cb5-0f55-5a53-9a35-8b6f3ec5c7f1"
    wanted = intent("decision-1", account=settings.account, intent_id=identity, created_at=now)
    journal.record_decision(receipt("decision-1") | {"account": settings.account}, wanted)
    order = sandbox_venue(settings, home, journal, KEYS).place(wanted)
    assert order.status is OrderStatus.FILLED, order
    [fill] = journal.fills(settings.account)
    assert (fill.quantity, fill.side) == (wanted.quantity, wanted.side)
    booked, held = journal.balances(settings.account), sandbox_balances(settings, home, KEYS)
    assert booked["BTC"] == held["BTC"] == BALANCES["BTC"] + wanted.quantity
    assert abs(booked["USDT"] - held["USDT"]) < Decimal("0.0001")


def test_an_entry_that_is_older_than_its_candles_may_be_is_not_placed_on_the_sandbox(
    settings: Settings, home: Path
) -> None:
    journal = MemoryJournal()
    journal.open_account(settings.account, BALANCES, STARTS)
    now = sandbox_time(settings.sandbox.url, None)()
    wanted = intent(account=settings.account, created_at=now - timedelta(minutes=2, seconds=1))
    journal.record_decision(receipt() | {"account": settings.account}, wanted)
    order = sandbox_venue(settings, home, journal, KEYS).place(wanted)
    assert order.status is OrderStatus.REJECTED
    assert "decided 0:02:01 ago, 0:02:00 is allowed" in order.reason


def test_a_home_without_a_sandbox_says_so(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotAuthorised, match="marketloom sandbox"):
        sandbox_balances(settings, tmp_path, KEYS)


def test_what_decides_sees_the_sandboxes_own_rules_and_its_status_of_the_moment(
    settings: Settings, home: Path, exchange: Sandbox, dsn: str
) -> None:
    services = Services(settings, home, dsn)
    known = services.known_instruments
    assert known == {pair: replace(INSTRUMENTS[pair], status=PairStatus.ONLINE) for pair in known}
    services.instrument_file.write(list(known.values()))
    exchange.admin("status", {"pair": str(BTC), "status": "reduce_only"})
    try:
        seen = services.instruments
        assert [seen[pair].status for pair in (BTC, XRP)] == [PairStatus.REDUCE_ONLY, PairStatus.ONLINE]
        assert services.input_reader.account.instruments[BTC].status is PairStatus.REDUCE_ONLY
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
