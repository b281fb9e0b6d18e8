"""Candles as decisions read them: the table beneath the stream, as they were known then."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData, MemoryTable
from trading.candles import complete
from trading.closed_candles import Basis, ClosedCandle
from trading.errors import NotStored
from trading.market import CANDLE_SCHEMA, TIME, Pair, Timeframe, month_of
from trading.stores.live_candles import LiveCandles

PAIR = Pair("BTC", "USDT")
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
T0 = datetime(2026, 1, 31, 20, tzinfo=UTC)  # four hours later a month begins


class Market:
    """A table, a stream, and what reads both."""

    def __init__(self) -> None:
        self.table = MemoryTable(CANDLE_SCHEMA)
        self.stream = MemoryMarketData(MemoryEventLog(), "kraken", "kraken-1h", Timeframe.H1)
        self.candles = LiveCandles(self.table, self.stream, Timeframe.H1)

    def store(self, *hours: int, close: float = 10.0, known_at: datetime | None = None) -> None:
        """Write the months of these hours to the table, in place of what it had of them."""
        opens = pl.Series("open_time", [T0 + hour * HOUR for hour in hours], TIME)
        numbers = pl.Series([close] * len(hours), dtype=pl.Float64())
        table = complete(
            pl.DataFrame([opens, *map(numbers.alias, ("open", "high", "low", "close", "volume"))]),
            Timeframe.H1, "kraken",
        )  # fmt: skip
        if known_at is not None:
            table = table.with_columns(known_at=pl.lit(known_at, TIME))
        for month, rows in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
            assert isinstance(month[0], datetime)
            self.table.write(PAIR, month_of(month[0]), rows)

    def streamed(self, hour: int, close: float = 20.0, trades: int = 5, late: timedelta = SECOND) -> datetime:
        """Stream a revision of a candle; returns when it became known."""
        opens = T0 + hour * HOUR
        candle = ClosedCandle(
            origin="kraken", pair=PAIR, timeframe=Timeframe.H1, open_time=opens, open=close, high=close, low=close,
            close=close, volume=1.0, trades=trades, first_trade_id=1, last_trade_id=2, basis=Basis.TRADES,
            known_at=opens + HOUR + late,
        )  # fmt: skip
        self.stream.store([candle, replace(candle, pair=Pair("XRP", "BTC"), close=0.1, low=0.1)])
        return candle.known_at

    def tail(self, until: datetime, rows: int = 3) -> list[tuple[int, float]]:
        return _seen(self.candles.tail(PAIR, until, rows))


def _seen(rows: pl.DataFrame) -> list[tuple[int, float]]:
    assert rows.schema == CANDLE_SCHEMA
    return [((opens - T0) // HOUR, close) for opens, close in rows.select("open_time", "close").iter_rows()]


@pytest.fixture
def market() -> Market:
    return Market()


def test_the_stream_goes_on_where_the_table_ends(market: Market) -> None:
    market.store(0, 1, 2)
    known = [market.streamed(hour) for hour in (3, 4, 5)]
    assert market.tail(known[-1], 4) == [(2, 10.0), (3, 20.0), (4, 20.0), (5, 20.0)]
    assert market.tail(known[-1] - SECOND, 4) == [(1, 10.0), (2, 10.0), (3, 20.0), (4, 20.0)]  # not known yet
    assert market.tail(known[0], 9) == [(0, 10.0), (1, 10.0), (2, 10.0), (3, 20.0)]


def test_a_decision_that_is_replayed_after_a_restatement_reads_what_it_read(market: Market) -> None:
    market.store(0, 1)
    decided_at = market.streamed(2) + SECOND
    seen = market.tail(decided_at)
    assert seen == [(0, 10.0), (1, 10.0), (2, 20.0)]
    restated = market.streamed(2, close=21.0, late=HOUR)
    assert market.tail(decided_at) == seen
    assert market.tail(restated)[-1] == (2, 21.0)
    # The table is written anew from the newest revisions.
    market.store(0, 1, 2, close=21.0, known_at=restated)
    assert market.tail(decided_at) == [(2, 20.0)]
    market.store(0, 1, 2, close=10.0)
    assert market.tail(decided_at) == seen


def test_where_both_have_a_candle_the_streams_revision_counts(market: Market) -> None:
    market.store(0, 1, 2)
    known = market.streamed(1)
    assert market.tail(known + HOUR) == [(0, 10.0), (1, 20.0), (2, 10.0)]


def test_a_candle_in_which_nothing_traded_is_no_row(market: Market) -> None:
    market.store(0, 1)
    market.streamed(1, trades=0)
    market.streamed(2, trades=0)
    repaired = market.streamed(2, late=3 * HOUR)
    assert market.tail(repaired - SECOND, 9) == [(0, 10.0)]
    assert market.tail(repaired, 9) == [(0, 10.0), (2, 20.0)]


def test_rows_that_were_not_known_yet_are_made_up_for_by_older_ones(market: Market) -> None:
    market.store(0, 1, 2)
    market.store(*range(4, 14), known_at=T0 + 20 * HOUR)  # of the next month, stored late
    assert market.tail(T0 + 15 * HOUR, 3) == [(0, 10.0), (1, 10.0), (2, 10.0)]
    assert market.tail(T0 + 20 * HOUR, 3) == [(11, 10.0), (12, 10.0), (13, 10.0)]


def test_without_a_table_the_stream_is_enough(market: Market) -> None:
    known = [market.streamed(hour) for hour in range(6)]
    assert market.tail(known[-1], 2) == [(4, 20.0), (5, 20.0)]
    assert market.candles.months(PAIR) == [month_of(T0 + 4 * HOUR)]
    assert _seen(market.candles.between(PAIR, T0, known[1]))[-1] == (1, 20.0)
    assert market.tail(T0, 2) == []


def test_neither_table_nor_stream_is_an_error(market: Market) -> None:
    with pytest.raises(NotStored):
        market.candles.tail(PAIR, T0, 3)
    with pytest.raises(NotStored):
        market.candles.between(PAIR, T0, T0 + HOUR)
    with pytest.raises(NotStored):
        market.candles.read(PAIR, month_of(T0))
    assert market.candles.months(PAIR) == []


def test_between_reads_what_was_known_at_its_end(market: Market) -> None:
    market.store(0, 1)
    first = market.streamed(2)
    market.streamed(2, close=21.0, late=HOUR)
    assert _seen(market.candles.between(PAIR, T0 + HOUR, first)) == [(1, 10.0), (2, 20.0)]
    assert _seen(market.candles.between(PAIR, T0 + HOUR, first + HOUR)) == [(1, 10.0), (2, 21.0)]
    assert market.candles.between(PAIR, T0, first, ["close"])["close"].to_list() == [10.0, 10.0, 20.0]


def test_a_month_is_read_as_it_is_known_now(market: Market) -> None:
    market.store(0, 1, 2, 3)
    market.streamed(3, late=9 * HOUR)
    market.streamed(4)
    assert market.candles.months(PAIR) == [month_of(T0), month_of(T0 + 4 * HOUR)]
    assert _seen(market.candles.read(PAIR, month_of(T0))) == [(0, 10.0), (1, 10.0), (2, 10.0), (3, 20.0)]
    assert _seen(market.candles.read(PAIR, month_of(T0 + 4 * HOUR))) == [(4, 20.0)]
