"""Source of the market's own trades, recorded or simulated. Times are market time, UTC."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.market import Pair
from trading.orders import Side


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade of others; price and quantity are whole multiples of the pair's increments."""

    pair: Pair
    at: datetime
    price: Decimal
    quantity: Decimal
    side: Side  # of the taker
    order_type: str  # "market" or "limit", of the taker


class TickSource(Protocol):
    """Trades of all pairs; the same source gives the same ticks, wherever reading begins."""

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """Yield all pairs merged, at > `after`, ascending; lazily, so that it may never end."""

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        """Return the last `count` ticks of one pair with at <= `until`, ascending; fewer when there are fewer."""

    def first(self) -> datetime:
        """Return when the first tick of all happens. NotStored when there is none."""
