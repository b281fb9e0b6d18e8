"""An account at a scripted venue, its ledger, and processes that carry its orders out and can be killed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event
from typing import Any

import polars as pl

from tests.contracts.trade import receipt
from tests.doubles.clock import Clock
from tests.doubles.stores.journal import MemoryJournal
from tests.doubles.venue import ScriptedVenue
from trading.execution import Execution, ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Instrument, Pair
from trading.orders import OrderIntent, OrderStatus, Side
from trading.portfolio import Position

ACCOUNT = "scripted-1"
BTC, ETH, XRP, DOGE = (Pair(base, "USDT") for base in ("BTC", "ETH", "XRP", "DOGE"))
BEGIN = datetime(2024, 5, 6, 12, tzinfo=UTC)
RULES = ExecutionRules(entry_age=timedelta(hours=2))
S = OrderStatus


def instrument(pair: Pair, **changes: Any) -> Instrument:
    values: dict[str, Any] = {
        "pair": pair, "price_increment": Decimal("0.1"), "quantity_increment": Decimal("0.0001"),
        "minimum_quantity": Decimal("0.001"), "minimum_cost": Decimal("0.1"), "taker_fee": Decimal(0),
        "maker_fee": Decimal(0), **changes,
    }  # fmt: skip
    return Instrument(**values)


class Killed(BaseException):
    """The process is gone."""


class Alive:
    """Lets calls of one process through until it is killed: no thread of it does anything after that."""

    def __init__(self, inner: object, killed: Event) -> None:
        self._inner, self._killed = inner, killed

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return attribute

        def call(*given: Any, **named: Any) -> Any:
            if self._killed.is_set():
                raise Killed
            return attribute(*given, **named)

        return call


@dataclass
class Case:
    """Time passes only when somebody sleeps or `wait`s."""

    clock: Clock = field(default_factory=Clock)
    rows: dict[Pair, list[tuple[datetime, datetime, float, float, float, float]]] = field(
        default_factory=dict
    )
    decided: int = 0

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.now)
        self.venue = ScriptedVenue(self.now, *(instrument(pair) for pair in (BTC, ETH, XRP, DOGE)))
        self.journal.open_account(
            ACCOUNT,
            {"USDT": Decimal(100000)} | {base: Decimal(10) for base in ("BTC", "ETH", "XRP", "DOGE")},
            BEGIN,
        )

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.clock.now)

    def wait(self, **length: float) -> None:
        self.clock.now += timedelta(**length).total_seconds()

    # --- processes

    def process(
        self,
        holder: str = "first",
        checkpoint: Callable[[str], None] = lambda name: None,
        killed: Event | None = None,
        rules: ExecutionRules = RULES,
        kill_requested: Callable[[], str] = lambda: "",
    ) -> OrderExecutor:
        killed = killed or Event()
        return OrderExecutor(
            Alive(self.journal, killed), Alive(self.venue, killed), self.candles, rules,
            holder=holder, kill_requested=kill_requested, checkpoint=checkpoint, monotonic=self.clock,
            sleep=self.clock.sleep, now=self.now,
        )  # fmt: skip

    def carry_out(self, **named: Any) -> Execution:
        return self.process(**named).carry_out(ACCOUNT, self.now())

    def carry_out_until_done(self, calls: int = 12) -> Execution:
        """What the account's keeper does: a call, ten seconds, another call."""
        for _ in range(calls):
            result = self.carry_out(holder="keeper")
            self.wait(seconds=10)
        return result

    # --- decisions

    def decide(self, intent: OrderIntent | None, cancels: tuple[str, ...] = (), pair: Pair = BTC) -> None:
        self.decided += 1
        name = intent.decision_id if intent else f"decision-{self.decided}"
        facts = receipt(name, account=ACCOUNT, pair=str(pair), decided_at=self.now().isoformat())
        assert self.journal.record_decision(facts, intent, cancels)

    def entry(
        self, pair: Pair = BTC, quantity: str = "1", side: Side = Side.BUY, **changes: Any
    ) -> OrderIntent:
        """Decided at 100 with 2 at risk; trails from a gain of 3 on."""
        sign, name = side.sign, f"{side.value}-{pair.base}-{self.decided + 1}"
        values: dict[str, Any] = {
            "intent_id": f"intent-{name}", "decision_id": name, "account": ACCOUNT, "pair": pair, "side": side,
            "quantity": Decimal(quantity), "reduces": False, "stop_loss": Decimal(100 - 2 * sign),
            "take_profit": Decimal(100 + 10 * sign), "created_at": self.now(), "entry_price": Decimal(100),
            "trailing_after": Decimal(100 + 3 * sign), "trailing_distance": Decimal(2), **changes,
        }  # fmt: skip
        intent = OrderIntent(**values)
        self.decide(intent, pair=pair)
        return intent

    def exit(self, pair: Pair = BTC, **changes: Any) -> OrderIntent | None:
        """As a decision does: of everything held, unless an exit is on its way."""
        position = self.position(pair)
        live = [each for each in self.journal.working_orders(ACCOUNT) if each.intent.pair == pair]
        if position is None or any(each.intent.kind.value == "exit" for each in live):
            self.decide(None, pair=pair)
            return None
        side = Side.SELL if position.quantity > 0 else Side.BUY
        name = f"close-{pair.base}-{self.decided + 1}"
        intent = OrderIntent(
            f"intent-{name}", name, ACCOUNT, pair, side, abs(position.quantity), True, None, None, self.now(),
            **changes,
        )  # fmt: skip
        self.decide(intent, pair=pair)
        return intent

    def bought(self, pair: Pair = BTC, quantity: str = "1", **changes: Any) -> OrderIntent:
        """A position with its stop at the venue."""
        entry = self.entry(pair, quantity, **changes)
        self.carry_out()
        assert self.position(pair) is not None
        return entry

    # --- what became of it

    def position(self, pair: Pair = BTC) -> Position | None:
        return self.journal.position(ACCOUNT, pair)

    def status(self, intent: OrderIntent | None) -> OrderStatus:
        assert intent is not None
        order = self.journal.order(intent.intent_id)
        assert order is not None
        return order.status

    def candle(self, low: float, high: float, close: float, pair: Pair = BTC, minutes: int = 1) -> None:
        """The last minutes up to now."""
        opened = self.now() - timedelta(minutes=minutes)
        self.rows.setdefault(pair, []).append((opened, self.now(), close, high, low, close))

    def candles(self, pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
        rows = [row for row in self.rows.get(pair, []) if since < row[1] <= until]
        names = ("open_time", "close_time", "open", "high", "low", "close")
        return pl.DataFrame(rows, {name: CANDLE_SCHEMA[name] for name in names}, orient="row")

    def check_books(self) -> None:
        """The ledger is the venue's, nothing could ever be sold twice, and nothing is held without a stop."""
        assert self.venue.excess == []
        booked = {(fill.fill_id, fill.quantity, fill.price) for fill in self.journal.fills(ACCOUNT)}
        assert booked == {(fill.fill_id, fill.quantity, fill.price) for fill in self.venue.fills()}
        held = {pair: quantity for pair, quantity in self.venue.held().items() if quantity}
        assert {each.pair: each.quantity for each in self.journal.positions(ACCOUNT)} == held
        for pair, quantity in held.items():
            assert sum(stop.left for stop in self.venue.resting(pair)) == abs(quantity)
        clients = [each.client_order_id for each in self.venue.orders.values() if each.client_order_id]
        assert len(clients) == len(set(clients))
