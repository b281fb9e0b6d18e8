"""What the market does by itself: trades of others, recorded or simulated. Times are market time, UTC."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
        """All pairs merged, at > `after`, ascending; lazily, so that it may never end."""

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        """The last `count` ticks of one pair with at <= `until`, ascending; fewer when there are fewer."""

    def first(self) -> datetime:
        """When the first tick of all happens. NotStored when there is none."""


class Rebased:
    """The ticks of another source at other times, so that a recording may run today.

    A shift by whole days keeps every candle up to a day whole, one by a multiple of 105 days all nine intervals.
    """

    def __init__(self, source: TickSource, shift: timedelta) -> None:
        self._source = source
        self._shift = shift

    def ticks(self, after: datetime) -> Iterator[Tick]:
        return (self._moved(tick) for tick in self._source.ticks(after - self._shift))

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        return [self._moved(tick) for tick in self._source.history(pair, until - self._shift, count)]

    def first(self) -> datetime:
        return self._source.first() + self._shift

    def _moved(self, tick: Tick) -> Tick:
        return replace(tick, at=tick.at + self._shift)
