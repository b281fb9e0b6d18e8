"""What the steps of one call share: ledger, venue, lease, clock, and what is noted for the result."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from trading.execution.rules import Candles, ExecutionRules
from trading.market import Pair
from trading.orders import AT_VENUE, Fill, Order, OrderIntent, OrderKind, OrderStatus, WorkingOrder
from trading.ports import Journal, Lease, Venue

NEWS = frozenset(OrderStatus) - {OrderStatus.INTENDED, OrderStatus.SENT, OrderStatus.UNKNOWN}


@dataclass
class Notes:
    """Thread-safe. A problem stands until its subject succeeds."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _own: threading.local = field(default_factory=threading.local)
    _orders: dict[str, Order] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)
    looked_up: bool = False  # what the venue has was seen in this call
    unfinished: bool = False  # the call ended while something had not had its turn
    news: int = 0  # how often something was learned or done that may let other steps go on

    def order(self, order: Order) -> None:
        with self._lock:
            known = self._orders.get(order.intent_id)
            self._orders[order.intent_id] = order
            changed = known is None or (known.status, known.filled) != (order.status, order.filled)
            if changed and order.status in NEWS:
                self._count()

    def progress(self) -> None:
        with self._lock:
            self._count()

    def _count(self) -> None:
        self.news += 1
        self._own.news = getattr(self._own, "news", 0) + 1

    def begin_task(self, news: int) -> None:
        """Remember the news that this thread's task was planned with."""
        self._own.news = news

    def known_to_task(self) -> int:
        """Return how much of the news this thread's task was planned with, or made itself."""
        return int(self._own.news)

    def problem(self, subject: str, sentence: str) -> None:
        with self._lock:
            self._problems[subject] = sentence

    def solved(self, subject: str) -> None:
        with self._lock:
            self._problems.pop(subject, None)

    def settled(self, intent_id: str) -> None:
        """Forget the problems of an order of which the venue has now said what became of it."""
        with self._lock:
            self._problems = {key: text for key, text in self._problems.items() if intent_id not in key}

    @property
    def orders(self) -> tuple[Order, ...]:
        with self._lock:
            return tuple(self._orders.values())

    @property
    def problems(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._problems.values())


@dataclass(frozen=True)
class Work:
    journal: Journal
    venue: Venue
    candles: Candles
    rules: ExecutionRules
    account: str
    at: datetime  # the account's clock
    lease: Lease
    checkpoint: Callable[[str], None]
    kill_requested: Callable[[], str]  # why all new positions must stop; empty while nobody asks for it
    entries_refused: Callable[[], str]  # why nothing may be opened; empty where it may
    machine_now: Callable[[], datetime]
    notes: Notes = field(default_factory=Notes)
    triggers: dict[str, Decimal] = field(default_factory=dict)  # of resting stops, as the venue reported them

    def now(self) -> datetime:
        """Return the time that changes are entered with."""
        return self.machine_now() if self.rules.real_time else self.at

    def record(self, order: Order, fills: Sequence[Fill] = (), cause: str = "") -> Order:
        """Book, and return the order as it then is."""
        recorded = self.journal.record_order(order, fills, cause)
        self.notes.order(recorded)
        return recorded

    def state(self, order: Order, status: OrderStatus, reason: str) -> Order:
        """Record a new state without fills."""
        return self.record(replace(order, status=status, reason=reason, updated_at=self.now()), cause=reason)

    def add(self, intent: OrderIntent, order: Order, cause: str) -> bool:
        """Commit an order that no decision asked for."""
        added = self.journal.add_order(intent, order, cause)
        if added:
            self.notes.order(order)
            self.notes.progress()
        return added

    def request_cancel(self, intent_id: str, reason: str) -> Order:
        order = self.journal.request_cancel(intent_id, reason, self.at)
        self.notes.order(order)
        return order

    def orders(self) -> "Orders":
        return Orders(tuple(self.journal.working_orders(self.account)))


@dataclass(frozen=True, slots=True)
class Orders:
    """The account's orders without a final state, as one read of the ledger found them."""

    working: tuple[WorkingOrder, ...]

    def waiting(self, *kinds: OrderKind) -> list[WorkingOrder]:
        """Return those that are surely not at the venue and are to be sent."""
        return [
            each
            for each in self.working
            if each.intent.kind in kinds and each.order.status is OrderStatus.INTENDED
        ]

    def at_venue(self, *kinds: OrderKind) -> list[WorkingOrder]:
        """Return those that the venue has or may have."""
        return [
            each
            for each in self.working
            if each.order.status in AT_VENUE and (not kinds or each.intent.kind in kinds)
        ]

    def of(self, pair: Pair, *kinds: OrderKind) -> "Orders":
        return Orders(
            tuple(
                each
                for each in self.working
                if each.intent.pair == pair and (not kinds or each.intent.kind in kinds)
            )
        )

    @property
    def covering(self) -> Decimal:
        """Return what the stops that the venue has, or may have, would still close."""
        stops = self.at_venue(OrderKind.STOP)
        return sum((each.remaining for each in stops), Decimal(0))
