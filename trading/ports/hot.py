"""Protocol of the hot tier: the newest price, top of the book and feature rows of each pair, at hand. Times are UTC.

It is a copy of what lies on the bus, for people and programs that want to see it at once. It may be empty or old:
every read says how old its answer is, and what decides about money reads the stores instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from trading.feature_rows import FeatureRow
from trading.market import Pair, Timeframe


@dataclass(frozen=True, slots=True)
class LastPrice:
    """The price of the newest trade that is known, from the trade itself or the venue's ticker."""

    pair: Pair
    price: float
    at: datetime
    known_at: datetime
    sequence: int = 0  # the trade's id: of several trades of one moment the last one counts


@dataclass(frozen=True, slots=True)
class BookTop:
    """Best bid and ask of a verified book; None where a side is empty."""

    pair: Pair
    bid: float | None
    bid_quantity: float | None
    ask: float | None
    ask_quantity: float | None
    at: datetime
    known_at: datetime


HotValue = LastPrice | BookTop | FeatureRow
Value = TypeVar("Value", LastPrice, BookTop, FeatureRow)


@dataclass(frozen=True, slots=True)
class Aged(Generic[Value]):
    """What is stored, and how long before the reader's `now` its own time lies (features: the candle's close)."""

    value: Value
    age: timedelta


class HotTier(Protocol):
    """The newest values of one origin. StoreUnreachable while a server is away: nothing else is lost with it.

    A value never gives way to an older one, whoever writes and however often: time decides, then the trade's id, then
    `known_at`.
    """

    def put(self, values: Sequence[HotValue]) -> None:
        """Store those that are newer than what is stored, each atomically. Putting one again changes nothing."""

    def price(self, pair: Pair, now: datetime) -> Aged[LastPrice] | None:
        """Return the newest price, None while none is stored."""

    def book_top(self, pair: Pair, now: datetime) -> Aged[BookTop] | None:
        """Return the newest top of the book, None while none is stored. An interrupted book grows older."""

    def features(self, pair: Pair, timeframe: Timeframe, now: datetime) -> list[Aged[FeatureRow]]:
        """Return the newest rows, one per candle in its newest revision, oldest first; at most `window` of them."""

    def is_filled(self) -> bool:
        """Tell whether the tier has kept everything since `mark_filled`. False after its memory was lost."""

    def mark_filled(self) -> None:
        """Note that what was there before is stored again."""

    def close(self) -> None:
        """Release connections."""


def rank(value: HotValue) -> tuple[datetime, int, datetime]:
    """Return what orders values of one place: the greater one is the newer one."""
    if isinstance(value, FeatureRow):
        return value.close_time, 0, value.known_at
    return value.at, value.sequence if isinstance(value, LastPrice) else 0, value.known_at
