"""A running guard over a real ledger in PostgreSQL and a scripted venue."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from prometheus_client import CollectorRegistry

from streaming.guard.duty import SwitchDuty
from streaming.guard.equity import DayOpening, EquityWatch
from streaming.guard.guard import Guard
from streaming.guard.held import GuardRules
from streaming.guard.history import HistoryDuty
from streaming.guard.loop import GuardLoop
from streaming.guard.metrics import GuardMetrics
from streaming.guard.quotes import Quotes
from streaming.session.output import TopOfBook
from tests.contracts.trade import receipt
from tests.doubles.venue import ScriptedVenue
from tests.trading.execution.execution_case import BTC, DOGE, ETH, XRP, instrument
from tests.trading.risk.risk_case import LIMITS
from trading.errors import StoreUnreachable
from trading.execution import Execution, ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import OrderIntent, OrderKind, OrderStatus, Side
from trading.portfolio import Position
from trading.ports import AccountView
from trading.risk import Halt
from trading.stores.postgres import PostgresJournal
from trading.stores.postgres.account_watch import PostgresAccountWatch
from trading.stores.postgres.balance_history import PostgresMinuteWriter
from trading.stores.postgres.stream import StreamOutbox

ACCOUNT, ORIGIN = "guarded-1", "scripted"
PAIRS = (BTC, ETH, XRP, DOGE)
PATIENCE = 60.0  # seconds that a fact may take on a busy machine; a test that waits longer has failed
RULES = GuardRules(stop_overdue=1.0, trail_seconds=0.2, real_time=True)


def now() -> datetime:
    return datetime.now(UTC)


class Watch(PostgresAccountWatch):
    """One whose store can be away."""

    away = False

    def read(self) -> AccountView:
        self._answer()
        return super().read()

    def commit(self, positions: Sequence[Position], begun: Sequence[Halt]) -> None:
        self._answer()
        super().commit(positions, begun)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnreachable("PostgreSQL is away")


@dataclass
class Orders:
    executor: OrderExecutor

    def order_exits(self, at: datetime) -> bool:
        return self.executor.order_exits(ACCOUNT, at)

    def carry_out(self, at: datetime) -> Execution:
        return self.executor.carry_out(ACCOUNT, at)


@dataclass
class Guarded:
    """`running` begins the guard; before and after that the account is as another process sees it."""

    dsn: str
    kill: str = ""
    alerts: list[tuple[str, str, str]] = field(default_factory=list)
    unseen: dict[Pair, str] = field(default_factory=dict)
    switch_calls: list[int] = field(default_factory=list)
    switch_faults: list[Callable[[], object]] = field(
        default_factory=list
    )  # one per call, as long as there are any
    problems: list[str] = field(default_factory=list)
    switched: bool = False
    decided: int = 0

    def __post_init__(self) -> None:
        self.journal = PostgresJournal(self.dsn)
        self.venue = ScriptedVenue(now, *(instrument(pair) for pair in PAIRS))
        self.journal.open_account(ACCOUNT, {"USDT": Decimal(100_000)}, now() - timedelta(minutes=1))
        self.outbox = StreamOutbox(self.dsn, ORIGIN, "test")
        self.outbox.open()
        self.begin()

    def begin(self) -> None:
        """A process as it starts: nothing in memory."""
        self.quotes = Quotes(PAIRS, max_spread=0.02)
        self.watch = Watch(self.dsn, ACCOUNT, ORIGIN, lambda: self.outbox.epoch)
        equity = EquityWatch("USDT", PAIRS, LIMITS, timedelta(minutes=1))
        why_blind = lambda pair: self.unseen.get(pair, "")  # noqa: E731
        self.guard = Guard(RULES, equity, self.quotes, lambda pair: Decimal("0.1"), why_blind)
        self.metrics = GuardMetrics(CollectorRegistry())
        duty = SwitchDuty(60, self.tell_switch, lambda: self.problems, self.alert, self.metrics, lambda: None)
        self.loop = GuardLoop(
            self.guard,
            self.watch,
            Orders(self.executor("guard")),
            opening=lambda at: DayOpening(at.date(), Decimal(100_000), 0),
            killed=lambda: self.kill,
            switch=duty if self.switched else None,
            history=HistoryDuty(
                ACCOUNT,
                "USDT",
                PostgresMinuteWriter(self.dsn, ACCOUNT, ORIGIN, lambda: self.outbox.epoch),
                self.guard.read_prices,
                now,
                self.metrics,
            ),
            now=now,
            alert=self.alert,
            metrics=self.metrics,
        )

    def tell_switch(self, seconds: int) -> None:
        self.switch_calls.append(seconds)
        if self.switch_faults:
            self.switch_faults.pop(0)()

    def alert(self, kind: str, severity: str, text: str) -> None:
        self.alerts.append((kind, severity, text))

    def executor(self, holder: str) -> OrderExecutor:
        rules = ExecutionRules(entry_age=timedelta(hours=2), patience=timedelta(seconds=1))
        return OrderExecutor(
            PostgresJournal(self.dsn), self.venue, _no_candles, rules, holder=holder,
            kill_requested=lambda: self.kill,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.loop.run(stop))
        try:
            await self.until(lambda: task.done() or self.guard.view is not None)
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, PATIENCE)

    async def until(self, fact: Callable[[], Any]) -> Any:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not (found := await asyncio.to_thread(fact)):
            assert asyncio.get_running_loop().time() < deadline, (self.loop.facts(), self.alerts)
            await asyncio.sleep(0.01)
        return found

    # --- the market

    def quote(self, *bids: float, pair: Pair = BTC) -> None:
        for bid in bids:
            self.venue.prices[pair] = Decimal(str(bid))
            top = TopOfBook(
                pair, (Decimal(str(bid)), Decimal(1)), (Decimal(str(bid + 0.1)), Decimal(1)), None
            )
            self.quotes.observe(top)

    # --- decisions

    def entry(self, pair: Pair = BTC, quantity: str = "1") -> OrderIntent:
        """Commit one, decided at 100: stop 98, target 110, trails from 103 on."""
        self.decided += 1
        name = f"entry-{pair.base}-{self.decided}"
        intent = OrderIntent(
            f"intent-{name}", name, ACCOUNT, pair, Side.BUY, Decimal(quantity), False, Decimal(98), Decimal(110),
            now(), entry_price=Decimal(100), trailing_after=Decimal(103), trailing_distance=Decimal(2),
        )  # fmt: skip
        facts = receipt(name, account=ACCOUNT, pair=str(pair), decided_at=now().isoformat())
        assert self.journal.record_decision(facts, intent)
        return intent

    def buy(self, pair: Pair = BTC, quantity: str = "1") -> None:
        """Hold it, with its stop at the venue."""
        self.entry(pair, quantity)
        executor, deadline = self.executor("decision"), time.monotonic() + PATIENCE
        executor.carry_out(ACCOUNT, now())
        while (
            self.journal.position(ACCOUNT, pair) is None
        ):  # a guard that runs may be the one who sends just now
            assert time.monotonic() < deadline
            executor.carry_out(ACCOUNT, now())

    # --- what became of it

    def is_closed(self, pair: Pair = BTC) -> bool:
        return self.journal.position(ACCOUNT, pair) is None

    def check_closed_once(self, pair: Pair = BTC, quantity: str = "1") -> None:
        assert self.venue.excess == []
        closing = [*self.venue.of(pair, OrderKind.EXIT), *self.venue.of(pair, OrderKind.STOP)]
        assert sum(each.filled for each in closing) == Decimal(quantity)
        assert self.venue.resting(pair) == []
        assert self.venue.held()[pair] == 0

    def status(self, intent: OrderIntent) -> OrderStatus:
        order = self.journal.order(intent.intent_id)
        assert order is not None
        return order.status

    def metric(self, name: str, **labels: str) -> float:
        for family in _families(self.metrics):
            for sample in family.samples:
                if sample.name == f"marketloom_guard_{name}" and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return 0.0


def blocking(release: threading.Event) -> Callable[[Callable[[], object]], object]:
    """A venue that answers once it is let."""

    def wait(act: Callable[[], object]) -> object:
        assert release.wait(PATIENCE)
        return act()

    return wait


def _families(metrics: GuardMetrics) -> Any:
    return [family for each in vars(metrics).values() for family in each.collect()]


def _no_candles(pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
    return CANDLE_SCHEMA.to_frame()
