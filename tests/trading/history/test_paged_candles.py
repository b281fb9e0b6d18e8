from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.history.candle_rows import ROW_SCHEMA
from trading.history.page_cache import PageCache
from trading.history.paged_candles import CHUNK, CandlePage, PagedCandles
from trading.market import EPOCH, Pair, Timeframe

BTC = Pair("BTC", "USDT")
START = datetime(2023, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UNFINISHED, CLOSED = 1.0, 2.0  # volumes


def at(minute: float) -> datetime:
    return START + minute * MINUTE


@dataclass
class Venue:
    """Candles of one minute in the minutes of `traded`. Its time advances by `pace` with each request."""

    traded: set[int]
    now: float  # minutes after START
    limit: int = 1000
    pace: float = 0.0
    backwards: bool = False
    windowed: bool = False  # `limit` counts the minutes of a response, not its candles
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)
    name: str = "fake"

    def first_open(self, pair: Pair) -> datetime:
        return START

    def fetch_page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        self.asked.append((start, end))
        self.now += self.pace
        if self.backwards:
            begin = max(start, end - self.limit * MINUTE)
            return CandlePage(self.rows(begin, end), begin, end)
        reach = start + self.limit * MINUTE
        found = self.rows(start, reach if self.windowed else at(10**6)).head(self.limit)
        reached = found["open_time"][-1] + MINUTE if found.height else reach
        covered = min(end, reached)
        return CandlePage(found.filter(found["open_time"] < covered), start, covered)

    def rows(self, start: datetime, end: datetime) -> pl.DataFrame:
        """As they are at the venue's time, the open candle too."""
        shown = [each for each in sorted(self.traded) if each <= self.now and start <= at(each) < end]
        volumes = [CLOSED if each + 1 <= self.now else UNFINISHED for each in shown]
        prices = dict.fromkeys(("open", "high", "low", "close"), [1.0] * len(shown))
        return pl.DataFrame(
            {"open_time": [at(each) for each in shown], **prices, "volume": volumes}, schema=ROW_SCHEMA
        )


def source(venue: Venue, folder: Path, clock: Callable[[], float]) -> PagedCandles:
    return PagedCandles(venue, Timeframe.M1, PageCache(folder), lambda: at(clock()))


def cached(folder: Path) -> tuple[list[tuple[datetime, datetime]], pl.DataFrame]:
    pages = PageCache(folder).pages("fake", BTC.key, "candles-1m")
    covered = pages.covered_ranges()
    return covered, pl.concat([ROW_SCHEMA.to_frame(), *(pages.read(*each) for each in covered)])


@settings(max_examples=200, deadline=None)
@given(
    traded=st.sets(st.integers(0, 200)), now=st.floats(5, 150),
    ahead=st.sampled_from([0.0, 0.5, 15.0, 40.0, 500.0]), limit=st.integers(3, 40),
    pace=st.sampled_from([0.0, 0.3, 2.0, 11.0]), backwards=st.booleans(), windowed=st.booleans(),
    asked=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 150)), min_size=1, max_size=4),
)  # fmt: skip
def test_cached_candles_are_final_however_far_the_clock_is_ahead(
    tmp_path_factory: pytest.TempPathFactory, traded: set[int], now: float, ahead: float, limit: int,
    pace: float, backwards: bool, windowed: bool, asked: list[tuple[int, int]],
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("cache")
    venue = Venue(traded, now, limit, pace, backwards, windowed)
    candles = source(venue, folder, lambda: venue.now + ahead)
    for start, count in asked:
        candles.candles(BTC, at(start), at(start + count))
    covered, rows = cached(folder)
    venue.now = 10**6
    truth = [venue.rows(*each) for each in covered]
    assert rows.equals(pl.concat([ROW_SCHEMA.to_frame(), *truth]))
    later = source(venue, folder, lambda: venue.now).candles(BTC, START, at(400))
    assert later["open_time"].to_list() == [at(each) for each in sorted(traded)]
    assert set(later["volume"]) <= {CLOSED}


@pytest.mark.parametrize("backwards", [True, False])
def test_with_a_clock_that_is_ahead_everything_before_the_venues_newest_candle_is_cached(
    tmp_path: Path, backwards: bool
) -> None:
    venue = Venue(set(range(500)), 100.5, limit=40, backwards=backwards)
    source(venue, tmp_path, lambda: 300.0).candles(BTC, START, at(300))
    assert cached(tmp_path)[0] == [(START, at(100))]


@pytest.mark.parametrize("backwards", [True, False])
def test_a_month_that_ends_without_trades_is_cached_to_its_end_once_a_later_candle_exists(
    tmp_path: Path, backwards: bool
) -> None:
    venue = Venue({0, 50, 320}, 5000.0, limit=1000, backwards=backwards)
    candles = source(venue, tmp_path, lambda: 5000.0)
    assert candles.candles(BTC, START, at(300)).height == 2
    assert cached(tmp_path)[0] == [(START, at(300))]
    count = len(venue.asked)
    assert candles.candles(BTC, START, at(300)).height == 2
    assert len(venue.asked) == count


def test_an_end_without_trades_is_fetched_again_until_a_later_candle_exists(tmp_path: Path) -> None:
    venue = Venue({0, 50}, 5000.0)
    candles = source(venue, tmp_path, lambda: 5000.0)
    assert candles.candles(BTC, START, at(300)).height == 2
    assert cached(tmp_path)[0] == [(START, at(50))]
    venue.asked.clear()
    assert candles.candles(BTC, START, at(300)).height == 2
    assert {start for start, _ in venue.asked} <= {at(50), at(51), at(300)}
    assert max(end for _, end in venue.asked) <= at(300 + CHUNK)


@given(
    time=st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    timeframe=st.sampled_from(Timeframe),
)
def test_the_grid_of_a_timeframe_is_that_of_polars(time: datetime, timeframe: Timeframe) -> None:
    time = time.replace(tzinfo=UTC)
    below, above = timeframe.floor(time), timeframe.ceil(time)
    assert pl.Series([time]).dt.truncate(timeframe.value).to_list() == [below]
    assert below <= time <= above
    assert above - below == (timedelta(0) if below == time else timeframe.duration)
    assert (above - EPOCH) % timeframe.duration == timedelta(0)
