"""Candles that a venue gives page by page: each page is fetched once, kept, and read from the disk afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from trading.candles import complete, opening_between
from trading.errors import InvalidMessage, NotStored
from trading.history.candle_rows import ROWS
from trading.history.page_cache import Pages, PageShelf, Range
from trading.history.progress import report
from trading.market import CANDLE_SCHEMA, EPOCH, Pair, Timeframe
from trading.ports import Quote

# What closed less than this ago is asked for again each time: late trades may still change it, or the venue may not
# have published it yet, and a page that is kept says for ever that there was nothing more. The clock alone may be
# ahead, so a time has passed only when the venue has shown a row that opened later.
SETTLING = timedelta(minutes=10)
CHUNK = 500  # candles looked through at once for the first one after a time


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
        self._newest: dict[Pair, datetime] = {}  # open time of the newest row seen

    @property
    def origin(self) -> str:
        return self._venue.name

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        first, last = self._first_open(pair), self._open()
        if first >= last:
            raise NotStored(
                f"{self.origin} lists {pair}, but its first candle has not closed yet: try again later"
            )
        return first, last

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        first, last = self.span(pair)
        if max(start, first) >= min(end, last):
            return CANDLE_SCHEMA.to_frame()
        rows = self._rows(
            pair, max(self._timeframe.floor(start), first), min(self._timeframe.ceil(end), last)
        )
        return opening_between(complete(rows, self._timeframe, self.origin), start, end)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """The first open at or after `time`, also of a candle that is not closed."""
        reached = max(self._timeframe.ceil(time), self._first_open(pair))
        while reached <= self._open():
            beyond = self._chunk_after(reached)
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
        """All rows of [start, end): the settled ones through the shelf, the newest ones straight from the venue.

        These first: they show that the others have settled.
        """
        settled = max(start, min(end, self._timeframe.floor(self._clock() - SETTLING)))
        fresh = self._fresh(pair, settled, end)
        pages = self._shelf.pages(self.origin, pair.key, f"candles-{self._timeframe.value}")
        kept = self._kept(pages, pair, start, settled)
        stored = pages.read(start, kept) if start < kept else ROWS.to_frame()
        return pl.concat([stored, self._fresh(pair, kept, settled), fresh])

    def _kept(self, pages: Pages, pair: Pair, start: datetime, end: datetime) -> datetime:
        """Until when all of [start, end) is on the shelf: until `end`, or until the newest row that the venue has."""
        if pages.missing(start, end):
            with pages.locked():
                self._download(pages, pair, start, end)
        holes = pages.missing(start, end)
        return holes[0][0] if holes else end

    def _download(self, pages: Pages, pair: Pair, start: datetime, end: datetime) -> None:
        """What the venue had passed when it was asked; a later row may show that a hole has to be asked for again."""
        if self._passed(pages, pair) < end < (beyond := self._chunk_after(end)):
            self._page(pair, end, beyond)
        holes = pages.missing(start, end)
        while holes:
            for hole in holes:
                self._fill(pages, pair, hole, (start, end))
            passed = self._passed(pages, pair)
            holes = [hole for hole in pages.missing(start, end) if hole[0] < passed]

    def _fill(self, pages: Pages, pair: Pair, hole: Range, whole: Range) -> None:
        start, end = hole
        while start < end:
            page = self._page(pair, start, end)
            until = min(page.end, self._passed(pages, pair))
            if page.start < until:
                pages.append(page.rows.filter(pl.col("open_time") < until), page.start, until)
                self._report(pages, pair, until, whole)
                if page.end < end:  # forwards: the next page begins with what this one may not keep
                    page = replace(page, end=until)
            start, end = _rest(page, start, end)

    def _report(self, pages: Pages, pair: Pair, reached: datetime, whole: Range) -> None:
        left = sum((after - before for before, after in pages.missing(*whole)), timedelta(0))
        done = 1 - left / (whole[1] - whole[0])
        report(f"{self.origin} {pair} {self._timeframe.value} candles", reached, *whole, done)

    def _passed(self, pages: Pages, pair: Pair) -> datetime:
        """A time that the venue has passed: it has a row that opened then, or kept pages that end then."""
        shelved = [end for _, end in pages.covered()[-1:]]
        return max([self._newest.get(pair, EPOCH), *shelved])

    def _fresh(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        tables = [ROWS.to_frame()]
        while start < end:
            page = self._page(pair, start, end)
            tables.append(page.rows)
            start, end = _rest(page, start, end)
        return pl.concat(tables).sort("open_time")

    def _page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        page = self._venue.page(pair, start, end)
        inside = start <= page.start < page.end <= end
        if not inside or (page.start > start and page.end < end):
            raise InvalidMessage(
                f"{self.origin} {pair} candles",
                f"asked for {start} to {end}, a page covers {page.start} to {page.end}",
            )
        if page.rows.height:
            self._newest[pair] = max(self._newest.get(pair, EPOCH), page.rows["open_time"][-1])
        return page

    def _open(self) -> datetime:
        """When the candle opened that is not closed yet by the clock."""
        return self._timeframe.floor(self._clock())

    def _chunk_after(self, time: datetime) -> datetime:
        return min(time + CHUNK * self._timeframe.duration, self._open() + self._timeframe.duration)


def _rest(page: CandlePage, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """What is left of [start, end) when the page, which begins or ends it, is taken away."""
    return (page.end, end) if page.start == start else (start, page.start)
