"""The public book of one pair: the market maker's quantity and the client orders at each price, as last told."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from streaming.sandbox.model import BookLevel
from trading.orders import Side


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
        """Something may have changed at these prices."""
        self._touched.update(dict.fromkeys(prices))

    def refresh(self, at: datetime) -> tuple[BookLevel, ...]:
        """Bring the touched prices up to date; those that really differ from what was told before."""
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
