"""One side of a book: the client orders that wait on it, and what it shows.

Orders wait by price, and at one price by their time of arrival.

The market maker's quantity at a price counts as one queue with theirs. What it displayed when an order arrived
stands before that order, so a level counts how much of the market maker's quantity has traded there.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import BookLevel
from trading.orders import Side

ZERO = Decimal(0)


@dataclass(slots=True)
class Level:
    """All orders at one price, the oldest first."""

    price: Decimal
    orders: dict[str, WorkingOrder] = field(default_factory=dict)
    quantity: Decimal = ZERO  # what is left of them
    traded_ahead: Decimal = ZERO  # market maker's quantity that has traded here while orders waited


class RestingOrders:
    """One side of one pair."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._levels: dict[Decimal, Level] = {}
        self._keys: list[Decimal] = []  # best first: prices of sells, negated prices of buys

    def __iter__(self) -> Iterator[Level]:
        """Levels, best first. The queue must not change meanwhile."""
        return (self._levels[abs(key)] for key in self._keys)

    @property
    def best(self) -> Level | None:
        return self._levels[abs(self._keys[0])] if self._keys else None

    def at(self, price: Decimal) -> Level | None:
        return self._levels.get(price)

    def reaches(self, price: Decimal) -> Level | None:
        """Return the best level, when an order on the other side with this limit would trade with it."""
        if not self._keys or self._keys[0] > self._key(price):
            return None
        return self.best

    def enter(self, working: WorkingOrder, priority: int, displayed: Decimal) -> None:
        """Append to its price's queue, behind the `displayed` quantity of the market maker."""
        level = self._level(working)
        working.priority = priority
        working.queue_position = level.traded_ahead + displayed
        self._append(level, working)

    def restore(self, working: WorkingOrder, traded_ahead: Decimal) -> None:
        """Append as it was stored; the oldest has to come first."""
        level = self._level(working)
        level.traded_ahead = traded_ahead
        self._append(level, working)

    def leave(self, working: WorkingOrder) -> None:
        """Remove before the order changes: it goes with the quantity that it has now."""
        level = self._levels[self._price(working)]
        del level.orders[working.order.order_id]
        level.quantity -= working.order.remaining
        working.priority = 0
        if not level.orders:
            del self._levels[level.price]
            del self._keys[bisect_left(self._keys, self._key(level.price))]

    def shrink(self, working: WorkingOrder, quantity: Decimal) -> None:
        """Take quantity from the order; its place stays."""
        self._levels[self._price(working)].quantity -= quantity

    def _append(self, level: Level, working: WorkingOrder) -> None:
        level.orders[working.order.order_id] = working
        level.quantity += working.order.remaining

    def _level(self, working: WorkingOrder) -> Level:
        price = self._price(working)
        if price not in self._levels:
            self._levels[price] = Level(price)
            insort(self._keys, self._key(price))
        return self._levels[price]

    def _key(self, price: Decimal) -> Decimal:
        return price if self.side is Side.SELL else price.copy_negate()

    @staticmethod
    def _price(working: WorkingOrder) -> Decimal:
        price = working.order.limit_price
        assert price is not None, f"{working.order.order_id} rests without a limit price"
        return price


class Display:
    """One side."""

    def __init__(self, side: Side, quantity_at: Callable[[Decimal], Decimal]) -> None:
        self._side = side
        self._quantity_at = quantity_at
        self._levels: dict[Decimal, BookLevel] = {}
        self._keys: list[Decimal] = []  # best first: asks, negated bids
        self._touched: dict[Decimal, None] = {}

    @property
    def best(self) -> BookLevel | None:
        return self._levels[abs(self._keys[0])] if self._keys else None

    def top(self, depth: int) -> tuple[BookLevel, ...]:
        return tuple(self._levels[abs(key)] for key in self._keys[:depth])

    def touch(self, prices: Iterable[Decimal]) -> None:
        """Mark prices at which something may have changed."""
        self._touched.update(dict.fromkeys(prices))

    def refresh(self, at: datetime) -> tuple[BookLevel, ...]:
        """Bring the marked prices up to date; return those that really differ from what was reported before."""
        if not self._touched:
            return ()
        changed = [level for price in self._touched if (level := self._refresh_level(price, at)) is not None]
        self._touched.clear()
        return tuple(changed)

    def _refresh_level(self, price: Decimal, at: datetime) -> BookLevel | None:
        quantity, shown = self._quantity_at(price), self._levels.get(price)
        if quantity == (shown.quantity if shown else 0):
            return None
        level = BookLevel(price, quantity, at)
        if not quantity:
            del self._levels[price]
            del self._keys[bisect_left(self._keys, self._key(price))]
            return level
        if shown is None:
            insort(self._keys, self._key(price))
        self._levels[price] = level
        return level

    def _key(self, price: Decimal) -> Decimal:
        return price if self._side is Side.SELL else price.copy_negate()
