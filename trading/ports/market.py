"""Protocol of the sources of market data. Times are UTC."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from trading.market import Pair


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that a venue would trade at, and when."""

    price: float
    time: datetime


class CandleSource(Protocol):
    """A source of candles: imported files, a simulator, a venue.

    A table from it has CANDLE_SCHEMA, is sorted, has no duplicates, and holds only closed candles.
    """

    @property
    def origin(self) -> str:
        """The venue's name, or `simulated`; written into every candle."""

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        """Return first open time and last close time that `candles` can give. NotStored when the pair is unknown."""

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Return closed candles with start <= open_time < end; may be empty inside the span."""

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """Return the first price at or after `time`, as the venue would see it; None when it is not there yet.

        The venue alone may ask this: it can lie beyond what `candles` gives to everybody else.
        """
