"""A pair's book as subscribers of each depth see it, with Kraken's checksum. Whole numbers only.

Kraken's rules: a level that falls out of a depth is not sent, one that comes back into it is; the checksum is over
the ten best of each side whatever the depth. Prices and quantities are held in units of their last decimal, so that
the digits of the checksum are the digits of the number (docs.kraken.com, book checksum v2).
"""

import zlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streaming.sandbox.formatting import PairDecimals, format_microseconds
from streaming.sandbox.model import BookLevel, BookView
from trading.errors import InvalidValue
from trading.market import Pair

DEPTHS = (10, 25, 100, 500, 1000)
CHECKED = 10  # levels of each side under the checksum
Steps = tuple[int, int]  # price and quantity in units of their last decimal


class _Side:
    """Levels by rank, the better price lower: bids are ranked by their negated price."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._ranks: list[int] = []
        self._quantities: dict[int, int] = {}

    def best(self, count: int) -> list[Steps]:
        return [(rank * self._sign, self._quantities[rank]) for rank in self._ranks[:count]]

    def worst_rank(self, depth: int) -> float:
        """Rank of the last level within `depth`; endless while there are fewer, as any other would be within."""
        return self._ranks[depth - 1] if len(self._ranks) >= depth else float("inf")

    def put(self, levels: Iterable[Steps]) -> list[int]:
        """Set levels, and return the ranks of those that are different now."""
        return [price * self._sign for price, quantity in levels if self._put(price * self._sign, quantity)]

    def visible(self, changed: Sequence[int], depth: int, worst_before: float) -> list[Steps]:
        """Return what is sent to a subscriber: what went first, so that one who cuts at every step loses nothing."""
        worst = self.worst_rank(depth)
        gone = [rank for rank in changed if rank <= worst_before and rank not in self._quantities]
        there = {rank for rank in changed if rank <= worst and rank in self._quantities}
        if worst > worst_before:
            first = bisect_right(self._ranks, worst_before)
            there.update(self._ranks[first:depth])
        return [(rank * self._sign, 0) for rank in gone] + [
            (rank * self._sign, self._quantities[rank]) for rank in sorted(there)
        ]

    def _put(self, rank: int, quantity: int) -> bool:
        if self._quantities.get(rank, 0) == quantity:
            return False
        if quantity == 0:
            del self._quantities[rank]
            del self._ranks[bisect_left(self._ranks, rank)]
        else:
            if rank not in self._quantities:
                insort(self._ranks, rank)
            self._quantities[rank] = quantity
        return True


@dataclass(frozen=True, slots=True)
class _Changed:
    ranks: list[int]
    worst_before: dict[int, float]  # per depth


class PairBook:
    """One pair at every depth, built from what the exchange holds and kept by what it says has changed."""

    def __init__(self, pair: Pair, decimals: PairDecimals, view: BookView) -> None:
        self._symbol = str(pair)
        self._decimals = decimals
        self._bids, self._asks = _Side(-1), _Side(1)
        self._bids.put(self._steps(view.bids))
        self._asks.put(self._steps(view.asks))
        self._checksum: int | None = None

    @property
    def checksum(self) -> int:
        if self._checksum is None:
            levels = self._asks.best(CHECKED) + self._bids.best(CHECKED)
            digits = "".join(f"{price}{quantity}" for price, quantity in levels)
            self._checksum = zlib.crc32(digits.encode())
        return self._checksum

    def snapshot(self, depth: int, at: datetime) -> bytes:
        return self._frame("snapshot", self._bids.best(depth), self._asks.best(depth), at)

    def change(
        self, bids: Sequence[BookLevel], asks: Sequence[BookLevel], depths: Iterable[int], at: datetime
    ) -> dict[int, bytes]:
        """Apply a change, and return one update per depth at which anything can be seen of it."""
        depths = tuple(depths)
        changed_bids = self._put(self._bids, bids, depths)
        changed_asks = self._put(self._asks, asks, depths)
        self._checksum = None
        frames = {}
        for depth in depths:
            seen_bids = self._bids.visible(changed_bids.ranks, depth, changed_bids.worst_before[depth])
            seen_asks = self._asks.visible(changed_asks.ranks, depth, changed_asks.worst_before[depth])
            if seen_bids or seen_asks:
                frames[depth] = self._frame("update", seen_bids, seen_asks, at)
        return frames

    def _put(self, side: _Side, levels: Sequence[BookLevel], depths: Sequence[int]) -> _Changed:
        before = {depth: side.worst_rank(depth) for depth in depths}
        return _Changed(side.put(self._steps(levels)), before)

    def _steps(self, levels: Iterable[BookLevel]) -> list[Steps]:
        decimals = self._decimals
        return [
            (to_steps(level.price, decimals.price), to_steps(level.quantity, decimals.quantity))
            for level in levels
        ]

    def _frame(self, kind: str, bids: Sequence[Steps], asks: Sequence[Steps], at: datetime) -> bytes:
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self._symbol}",'
            f'"bids":[{self._join(bids)}],"asks":[{self._join(asks)}],'
            f'"checksum":{self.checksum},"timestamp":"{format_microseconds(at)}"}}]}}'
        ).encode()

    def _join(self, levels: Sequence[Steps]) -> str:
        price_decimals, quantity_decimals = self._decimals.price, self._decimals.quantity
        return ",".join(
            f'{{"price":{format_steps(price, price_decimals)},"qty":{format_steps(quantity, quantity_decimals)}}}'
            for price, quantity in levels
        )


def to_steps(value: Decimal, decimals: int) -> int:
    """Convert `value` to units of its last decimal; raise InvalidValue when it has more, or is negative."""
    if value.is_finite() and value >= 0:
        steps = value.scaleb(decimals)
        if steps == (rounded := int(steps)):
            return rounded
    raise InvalidValue(f"{value} is not a price or quantity with {decimals} decimals")


def format_steps(steps: int, decimals: int) -> str:
    """Write the number with all its decimals."""
    if not decimals:
        return str(steps)
    digits = str(steps).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"
