"""Candles that a venue gives page by page: each page is fetched once, cached, and read from the disk afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from trading.candles import complete, opening_between
from trading.errors import InvalidMessage, NotStored
from trading.history.candle_rows import ROW_SCHEMA
from trading.history.page_cache import CachedPages, PageCache, Range
from trading.history.progress import log_progress
from trading.market import CANDLE_SCHEMA, EPOCH, Pair, Timeframe
from trading.ports import Quote

# What closed less than this ago is asked for again each time: late trades may still change it, or the venue may not
# have published it yet, and a page that is cached says for ever that there was nothing more. The clock alone may be
# ahead, so a time has passed only when the venue has shown a row that opened later.
SETTLING = timedelta(minutes=10)
CHUNK = 500  # candles looked through at once for the first one after a time


@dataclass(frozen=True, slots=True)
class CandlePage:
    """The result of one request: `rows` (ROW_SCHEMA) are all candles that open in [start, end), unclosed ones too."""

    rows: pl.DataFrame
    start: datetime
    end: datetime


class PagedVenue(Protocol):
    """The requests that one vendor's API answers."""

    @property
    def name(self) -> str:
        """The origin of its candles; also the folder of its pages."""

    def first_open(self, pair: Pair) -> datetime:
        """Find when the pair's first candle opens. NotStored when the venue does not list the pair."""

    def fetch_page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        """Fetch what one request gives of [start, end), from either of its ends on; never an empty range."""


class PagedCandles:
    """A CandleSource over a PagedVenue; what it fetched survives it, and is not fetched again."""

    def __init__(
        self, venue: PagedVenue, timeframe: Timeframe, cache: PageCache, clock: Callable[[], datetime]
    ) -> None:
        self._venue = venue
        self._timeframe = timeframe
        self._cache = cache
        self._clock = clock
        self._first_opens: dict[Pair, datetime] = {}
        self._newest_opens: dict[Pair, datetime] = {}  # open time of the newest row seen

    @property
    def origin(self) -> str:
        return self._venue.name

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        first, last = self._first_open(pair), self._current_open()
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
        """Return the first open at or after `time`, also of a candle that is not closed."""
        reached = max(self._timeframe.ceil(time), self._first_open(pair))
        while reached <= self._current_open():
            beyond = self._chunk_end(reached)
            rows = self._rows(pair, reached, beyond)
            if rows.height:
                return Quote(rows["open"][0], rows["open_time"][0])
            reached = beyond
        return None

    def _first_open(self, pair: Pair) -> datetime:
        if pair not in self._first_opens:
            self._first_opens[pair] = self._venue.first_open(pair)
        return self._first_opens[pair]

    def _rows(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """All rows of [start, end): the settled ones through the cache, the newest ones straight from the venue.

        These first: they show that the others have settled.
        """
        settled = max(start, min(end, self._timeframe.floor(self._clock() - SETTLING)))
        newest = self._fetch(pair, settled, end)
        pages = self._cache.pages(self.origin, pair.key, f"candles-{self._timeframe.value}")
        cached = self._cached_until(pages, pair, start, settled)
        stored = pages.read(start, cached) if start < cached else ROW_SCHEMA.to_frame()
        return pl.concat([stored, self._fetch(pair, cached, settled), newest])

    def _cached_until(self, pages: CachedPages, pair: Pair, start: datetime, end: datetime) -> datetime:
        """Return the time up to which [start, end) is cached completely: `end`, or the newest row of the venue."""
        if pages.missing_ranges(start, end):
            with pages.locked():
                self._download(pages, pair, start, end)
        gaps = pages.missing_ranges(start, end)
        return gaps[0][0] if gaps else end

    def _download(self, pages: CachedPages, pair: Pair, start: datetime, end: datetime) -> None:
        """Cache what the venue has passed; a later row may show that a gap has to be fetched again."""
        if self._passed_time(pages, pair) < end < (beyond := self._chunk_end(end)):
            self._fetch_page(pair, end, beyond)
        gaps = pages.missing_ranges(start, end)
        while gaps:
            for gap in gaps:
                self._download_range(pages, pair, gap, (start, end))
            passed = self._passed_time(pages, pair)
            gaps = [gap for gap in pages.missing_ranges(start, end) if gap[0] < passed]

    def _download_range(self, pages: CachedPages, pair: Pair, gap: Range, whole: Range) -> None:
        start, end = gap
        while start < end:
            page = self._fetch_page(pair, start, end)
            until = min(page.end, self._passed_time(pages, pair))
            if page.start < until:
                pages.append(page.rows.filter(pl.col("open_time") < until), page.start, until)
                self._log_progress(pages, pair, until, whole)
                if page.end < end:  # forwards: the next page begins with what this one may not keep
                    page = replace(page, end=until)
            start, end = _remaining(page, start, end)

    def _log_progress(self, pages: CachedPages, pair: Pair, reached: datetime, whole: Range) -> None:
        left = sum((after - before for before, after in pages.missing_ranges(*whole)), timedelta(0))
        done = 1 - left / (whole[1] - whole[0])
        log_progress(f"{self.origin} {pair} {self._timeframe.value} candles", reached, *whole, done)

    def _passed_time(self, pages: CachedPages, pair: Pair) -> datetime:
        """Return a time that the venue has passed: it has a row that opened then, or cached pages that end then."""
        cached = [end for _, end in pages.covered_ranges()[-1:]]
        return max([self._newest_opens.get(pair, EPOCH), *cached])

    def _fetch(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        tables = [ROW_SCHEMA.to_frame()]
        while start < end:
            page = self._fetch_page(pair, start, end)
            tables.append(page.rows)
            start, end = _remaining(page, start, end)
        return pl.concat(tables).sort("open_time")

    def _fetch_page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        page = self._venue.fetch_page(pair, start, end)
        inside = start <= page.start < page.end <= end
        if not inside or (page.start > start and page.end < end):
            raise InvalidMessage(
                f"{self.origin} {pair} candles",
                f"asked for {start} to {end}, a page covers {page.start} to {page.end}",
            )
        if page.rows.height:
            self._newest_opens[pair] = max(self._newest_opens.get(pair, EPOCH), page.rows["open_time"][-1])
        return page

    def _current_open(self) -> datetime:
        """Return the open time of the candle that is not closed yet by the clock."""
        return self._timeframe.floor(self._clock())

    def _chunk_end(self, time: datetime) -> datetime:
        return min(time + CHUNK * self._timeframe.duration, self._current_open() + self._timeframe.duration)


def _remaining(page: CandlePage, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the rest of [start, end) without the page, which begins or ends it."""
    return (page.end, end) if page.start == start else (start, page.start)
