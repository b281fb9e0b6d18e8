"""Candles that a venue gives page by page: each page is fetched once, kept, and read from the disk afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import polars as pl

from trading.candles import complete, opening_between
from trading.errors import InvalidMessage, NotStored
from trading.history.progress import report
from trading.history.rows import ROWS
from trading.history.shelf import Pages, PageShelf
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import Quote

# What closed less than this ago is asked for again each time: late trades may still change it, or the venue may not
# have published it yet, and a page that is kept says for ever that there was nothing more.
SETTLING = timedelta(minutes=10)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUOTE_CHUNK = 500  # candles looked through at once for the first price after a time


@dataclass(frozen=True, slots=True)
class CandlePage:
    """What one request found: `rows` (schema ROWS) are all candles that open in [start, end), open ones included."""

    rows: pl.DataFrame
    start: datetime
    end: datetime


class PagedVenue(Protocol):
    """What one vendor's API can do, request by request."""

    @property
    def name(self) -> str:
        """The origin of its candles; also the folder of its pages."""

    def first(self, pair: Pair) -> datetime:
        """When the pair's first candle opens. NotStored when the venue does not list the pair."""

    def page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        """As much of [start, end) as one request gives, from either of its ends on; never nothing at all."""


class PagedCandles:
    """A CandleSource over a PagedVenue; what it fetched survives it, and is not fetched again."""

    def __init__(
        self, venue: PagedVenue, timeframe: Timeframe, shelf: PageShelf, clock: Callable[[], datetime]
    ) -> None:
        self._venue = venue
        self._timeframe = timeframe
        self._shelf = shelf
        self._clock = clock
        self._first: dict[Pair, datetime] = {}

    @property
    def origin(self) -> str:
        return self._venue.name

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        first, last = self._first_open(pair), self._grid(self._clock())
        if first >= last:
            raise NotStored(
                f"{self.origin} lists {pair}, but its first candle has not closed yet: try again later"
            )
        return first, last

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        first, last = self.span(pair)
        if max(start, first) >= min(end, last):
            return CANDLE_SCHEMA.to_frame()
        rows = self._rows(pair, max(self._grid(start), first), min(self._grid_above(end), last))
        return opening_between(complete(rows, self._timeframe, self.origin), start, end)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """The first open at or after `time`, also of a candle that is not closed."""
        reached = max(self._grid_above(time), self._first_open(pair))
        newest = self._grid(self._clock())
        while reached <= newest:
            beyond = min(reached + QUOTE_CHUNK * self._timeframe.duration, newest + self._timeframe.duration)
            rows = self._rows(pair, reached, beyond)
            if rows.height:
                return Quote(rows["open"][0], rows["open_time"][0])
            reached = beyond
        return None

    def _first_open(self, pair: Pair) -> datetime:
        if pair not in self._first:
            self._first[pair] = self._venue.first(pair)
        return self._first[pair]

    def _rows(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """All rows of [start, end): the settled ones through the shelf, the newest ones straight from the venue."""
        settled = max(start, min(end, self._grid(self._clock() - SETTLING)))
        stored = self._stored(pair, start, settled) if start < settled else ROWS.to_frame()
        return pl.concat([stored, self._fresh(pair, settled, end)])

    def _stored(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        pages = self._shelf.pages(self.origin, pair.key, f"candles-{self._timeframe.value}")
        if pages.missing(start, end):
            with pages.locked():
                self._download(pages, pair, start, end)
        return pages.read(start, end)

    def _download(self, pages: Pages, pair: Pair, start: datetime, end: datetime) -> None:
        while holes := pages.missing(start, end):
            page = self._page(pair, *holes[0])
            pages.append(page.rows, page.start, page.end, "")
            left = sum((after - before for before, after in pages.missing(start, end)), timedelta(0))
            done = 1 - left / (end - start)
            report(f"{self.origin} {pair} {self._timeframe.value} candles", page.end, start, end, done)

    def _fresh(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        tables = [ROWS.to_frame()]
        while start < end:
            page = self._page(pair, start, end)
            tables.append(page.rows)
            start, end = (page.end, end) if page.start == start else (start, page.start)
        return pl.concat(tables).sort("open_time")

    def _page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        page = self._venue.page(pair, start, end)
        inside = start <= page.start < page.end <= end
        if not inside or (page.start > start and page.end < end):
            raise InvalidMessage(
                f"{self.origin} {pair} candles",
                f"asked for {start} to {end}, a page covers {page.start} to {page.end}",
            )
        return page

    def _grid(self, time: datetime) -> datetime:
        """The newest open time that is not after `time`."""
        return time - (time - EPOCH) % self._timeframe.duration

    def _grid_above(self, time: datetime) -> datetime:
        below = self._grid(time)
        return below if below == time else below + self._timeframe.duration
