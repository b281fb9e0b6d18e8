"""A day at the sandbox in which whole decisions are made: the run of Dagster, the keeper beside it, and who is told."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.commands.clock_watch import ClockWatch
from orchestration.commands.keeper import build_keeper
from orchestration.commands.keeper_alerts import publish_alert
from orchestration.commands.sandbox_market import sandbox_opening
from orchestration.definitions import definitions
from orchestration.services import Services
from orchestration.settings import load_settings
from sensors.failures import failure_sensor
from streaming.alerting.notices import TOPICS, notice_of
from streaming.bus.postgres import PostgresBus
from streaming.messages import AlertMessage
from streaming.sandbox.market import CandleReplay, Tick
from streaming.sandbox.server import ACCOUNT, Opening
from tests.orchestration.commands.sandbox_home import SandboxHome, sandbox_home
from tests.streaming.sandbox.simulated_exchange import CONFIG
from trading.errors import StoreUnreachable
from trading.execution import ExecutionRules
from trading.market import Pair, Timeframe, midnight, month_of
from trading.orders import Order, OrderStatus
from trading.ports import FailureLog
from trading.simulation.market import SimulatedMarket

# In this market the technical agent alone enters the pair, after each candle of the first ten minutes.
PAIR = Pair("XRP", "USDT")
STARTS = datetime(2024, 3, 14, 0, 25, 30, tzinfo=UTC)
HISTORY_DAYS = 12  # of candles of a minute: the features with the longest warm-up need eleven
CAPITAL = {"USDT": Decimal(1000), "XRP": Decimal(500)}
BEGINS = midnight(STARTS.date()) - timedelta(days=HISTORY_DAYS)  # of the market's history
MAX_HISTORY = 240  # trades that the exchange remembers at its start
# An exchange on this machine answers soon, and nobody waits long for a sender that has died.
IN_A_HURRY = {"patience": timedelta(seconds=1), "lease_seconds": 5.0}


@dataclass(frozen=True)
class Decided:
    """What a run has left: its receipt and order, where it got so far."""

    succeeded: bool
    receipt: Mapping[str, Any]
    order: Order | None

    @property
    def outcome(self) -> str:
        return str(self.receipt["outcome"])

    def is_filled(self) -> bool:
        assert self.succeeded
        return self.order is not None and self.order.status is OrderStatus.FILLED

    @property
    def refused_by(self) -> str:
        """Return the rule of risk that refused it, as the receipt names it; empty where none did."""
        assert self.succeeded
        found = re.search(r"(?:refused by risk|risk refuses every entry): ([^:]+):", self.outcome)
        return found[1] if found else ""


class TradingDay:
    """An account, its market, and the candles that are stored of it."""

    def __init__(self, home: SandboxHome) -> None:
        self.home = home
        self.exchange = home.exchange
        self._instance = dg.DagsterInstance.ephemeral()
        self._failed: list[tuple[dg.DagsterInstance, str]] = []
        self._instance.add_dynamic_partitions(
            "pair", [pair.key for pair in self.services.settings.market.pairs]
        )
        clock = ClockWatch(partial(publish_alert, home.dsn, "clock"))
        self._keeper = build_keeper(home.dsn, threading.Event(), also={"clock": clock.look})
        self.services.instrument_file.write(list(self.services.known_instruments.values()))
        self.store_candles()
        self.opening: Mapping[str, Decimal] = {}

    @property
    def services(self) -> Services:
        """Those that runs in this process use."""
        return Services.current()

    @property
    def account(self) -> str:
        return self.services.account.name

    def close_candle(self, minutes: int = 1) -> None:
        """Let the market go on, and store what the stream would have."""
        self.exchange.advance(60 * minutes)
        self.store_candles()

    def store_candles(self) -> None:
        now = self.exchange.running.exchange.market_now().replace(second=0, microsecond=0)
        for pair in self.services.settings.market.pairs:
            self.services.candle_store.write(pair, month_of(BEGINS), market().candles(pair, BEGINS, now))

    def open(self) -> None:
        """Open the account, as its first decision does, a candle before the bad day begins."""
        self.services.account_reader.ensure_open(self.services.clock().at)
        self.close_candle()

    def decide(self) -> Decided:
        """Run the job as the sensor asks for it, and read what it has left."""
        succeeded = self.run()
        return replace(self.newest(), succeeded=succeeded)

    def run(self) -> bool:
        """Run the job; a failed run is noted, as Dagster's daemon has it noted. Returns whether it succeeded."""
        result = decide_job().execute_in_process(
            instance=self._instance, partition_key=PAIR.key, raise_on_error=False
        )
        if not result.success:
            self._failed.append((self._instance, result.run_id))
            self.note_failures()
        return result.success

    def note_failures(self) -> None:
        """Evaluate the sensor of failed runs; while PostgreSQL is away they wait for the next time."""
        with suppress(StoreUnreachable):
            while self._failed:
                note_failure(*self._failed[0], self.services.failure_notes)
                del self._failed[0]

    def note_failed_run(self, instance: dg.DagsterInstance, run_id: str) -> None:
        """Have a run of another instance noted."""
        note_failure(instance, run_id, self.services.failure_notes)

    def newest(self) -> Decided:
        """Return the newest decision."""
        journal = self.services.journal
        for receipt in journal.decisions(self.account, limit=1):
            intent = journal.intent(receipt["decision_id"])
            return Decided(True, receipt, journal.order(intent.intent_id) if intent else None)
        return Decided(True, {}, None)

    def keep(self) -> None:
        """Make a pass of the account's keeper, with a comparison of the books."""
        self._keeper.next_reconciliation = 0.0
        self._keeper.step()

    def keep_until(self, fact: Callable[[], Any]) -> None:
        """Make passes until the fact is there."""
        deadline = time.monotonic() + 60
        while not fact():
            assert time.monotonic() < deadline
            self.keep()

    def told(self, kind: str) -> list[AlertMessage]:
        """Return what people are told of this kind so far."""
        reader = PostgresBus(self.home.dsn).reader(TOPICS, from_start=True)
        found = [notice_of(record) for record in reader.poll(1000, 0)]
        reader.close()
        return [each for each in found if each is not None and each.kind == kind]

    def orders_at_exchange(self) -> list[dict[str, Any]]:
        return [each for each in self.exchange.export()["orders"] if each["account"] == ACCOUNT]

    def entries_at_exchange(self) -> int:
        return sum(each["side"] == "buy" for each in self.orders_at_exchange())

    def held(self) -> dict[str, Decimal]:
        rows = self.exchange.export()["balances"]
        return {each["asset"]: Decimal(each["amount"]) for each in rows if each["account"] == ACCOUNT}

    # --- what holds at the end of every bad day

    def is_in_order(self) -> None:
        """Each order is at the exchange at most once and known here, and what is held has its stop over all of it."""
        journal, orders = self.services.journal, self.orders_at_exchange()
        own = [each["client_order_id"] for each in orders if each["client_order_id"]]
        assert len(own) == len(set(own))
        assert all(journal.find_order(self.account, each["order_id"]) for each in orders)
        working = [each for each in orders if each["state"] in ("open", "pending")]
        positions = journal.positions(self.account)
        assert sum((abs(each.quantity) for each in positions), Decimal(0)) == sum(
            (Decimal(each["quantity"]) - Decimal(each["filled"]) for each in working), Decimal(0)
        )
        compared = self.services.reconciler.reconcile(self.account, self.services.clock().at)
        assert list(compared.differences) == []

    def decides_on_the_next_candle(self) -> Decided:
        """A candle closes, and a new decision is made on it: not on an older one, and not the last one again."""
        before = self.newest().receipt.get("decision_id")
        self.close_candle()
        self.keep()
        decided = self.decide()
        assert decided.succeeded
        newest = self.services.market_reader.newest_close_time(PAIR)
        assert decided.receipt["candle_close_time"] == newest.isoformat()
        assert decided.receipt["decision_id"] != before
        return decided

    def ends_well(self) -> None:
        """The next candle is decided on and something is held, the books agree, and all of it is closed again."""
        decided = self.decides_on_the_next_candle()
        assert decided.is_filled() or self.services.journal.positions(self.account)
        self.is_in_order()
        self.services.order_executor.flatten(self.account, self.services.clock().at, "the day ends")
        assert self.services.journal.positions(self.account) == []
        self.is_in_order()
        held = self.held()
        assert held["XRP"] == CAPITAL["XRP"]
        booked = self.services.journal.balances(self.account)
        assert all(abs(booked[asset] - amount) < Decimal("0.0001") for asset, amount in held.items())
        assert self.home.halts() == []


def note_failure(instance: dg.DagsterInstance, run_id: str, notes: FailureLog) -> None:
    """Evaluate the sensor of failed runs for this one, as Dagster's daemon does."""
    run = instance.get_run_by_id(run_id)
    [failure] = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert run is not None
    assert failure.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="run_failures",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=failure.dagster_event,
    )
    failure_sensor(context.for_run_failure(), failure_notes=notes)


@cache
def decide_job() -> dg.JobDefinition:
    """Build the graph once: no run reads settings from it."""
    return definitions(load_settings()).resolve_job_def("decide")


@cache
def market() -> SimulatedMarket:
    """Return the market of the live demo; what is simulated once need not be again."""
    pairs, ends = load_settings().market.pairs, STARTS + timedelta(days=1)
    return SimulatedMarket(pairs, Timeframe.M1, CONFIG.seed, BEGINS, ends)


class ShortHistory(CandleReplay):
    """The market with an hour behind it: the exchange prints what is asked for, which takes seconds for days."""

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        return super().history(pair, until, min(count, MAX_HISTORY))


def opening(folder: Path) -> Opening:
    """Return what the sandbox of the settings opens with, in this market."""
    config = replace(CONFIG, start=STARTS.replace(tzinfo=None).isoformat(), history_days=HISTORY_DAYS)
    settings = load_settings({"MARKETLOOM_HOME": str(folder)})
    opens = sandbox_opening(settings, config, folder)
    instruments = {pair: listing.instrument for pair, listing in opens.listings.items()}
    return replace(opens, source=ShortHistory(market(), instruments, Timeframe.M1))


@contextmanager
def trading_day(folder: Path, dsn: str, patch: pytest.MonkeyPatch) -> Iterator[TradingDay]:
    """Open the exchange at a time from which on the technical agent buys XRP after each candle."""
    patch.setattr("orchestration.services.ExecutionRules", partial(ExecutionRules, **IN_A_HURRY))
    with sandbox_home(folder, dsn, patch, opening(folder)) as home:
        yield TradingDay(home)
