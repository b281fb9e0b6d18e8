"""The tape and the venue's history as one source: equal where both exist, known_at from the stream."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.doubles.stores.tape import MemoryTape, tape_rows
from trading.candles import with_arrival
from trading.closed_candles import Basis, ClosedCandle
from trading.history.tape_candles import MAX_REQUESTS, TapeCandles
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import Quote, TapeTable

BTC = Pair("BTC", "USDT")
MINUTE = timedelta(minutes=1)
START = datetime(2024, 3, 5, 12, tzinfo=UTC)
MINUTES = 60
LAST = START + MINUTES * MINUTE
QUIET = {7, 8, 30, 59}  # minutes in which nothing traded
LIVE = timedelta(seconds=1)


def minute(number: int, trades: int | None = None, close: float | None = None) -> ClosedCandle:
    """Return the venue's candle of that minute, published a second after it has closed."""
    open_time, price = START + number * MINUTE, 100.0 + number
    count = (0 if number in QUIET else 3) if trades is None else trades
    return ClosedCandle(
        "kraken", BTC, Timeframe.M1, open_time, price, price + 2, price - 2, price + 1 if close is None else close,
        float(count), count, None, None, Basis.TRADES, open_time + MINUTE + LIVE,
    )  # fmt: skip


def known(candle: ClosedCandle, at: datetime) -> ClosedCandle:
    values = {name: getattr(candle, name) for name in candle.__slots__}
    return ClosedCandle(**values | {"known_at": at})


class Venue:
    """The venue's history, which counts what it was asked for. It has no candle where nothing traded."""

    origin = "kraken"

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return START, LAST

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        self.asked.append(((start - START) // MINUTE, (end - START) // MINUTE))
        rows = [
            each
            for number in range(MINUTES)
            if start <= (each := minute(number)).open_time < end and each.trades
        ]
        return table(rows)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return Quote(1.0, time)


def table(candles: Sequence[ClosedCandle]) -> pl.DataFrame:
    names = [name for name in CANDLE_SCHEMA.names() if name != "known_at"]
    rows = [{name: getattr(each, name) for name in names} | {"known_at": each.close_time} for each in candles]
    return pl.DataFrame(rows, schema=CANDLE_SCHEMA)


def taped(*candles: ClosedCandle) -> tuple[TapeCandles, Venue, MemoryTape]:
    tape, venue = MemoryTape(), Venue()
    if candles:
        tape.append(TapeTable.CANDLES, tape_rows(*candles), "0")
    return TapeCandles(tape, venue, Timeframe.M1), venue, tape


@given(st.sets(st.integers(0, MINUTES - 1)), st.integers(0, MINUTES), st.integers(0, MINUTES + 5))
def test_whatever_the_stream_has_proven_the_candles_are_those_of_the_venue(
    proven: set[int], first: int, last: int
) -> None:
    source, venue, _ = taped(*map(minute, sorted(proven)))
    start, end = START + first * MINUTE, START + last * MINUTE
    expected = venue.candles(BTC, start, min(end, LAST)) if start < end else CANDLE_SCHEMA.to_frame()
    found = source.candles(BTC, start, end)
    assert_frame_equal(found.drop("known_at"), expected.drop("known_at"))
    assert (found["known_at"] >= found["close_time"]).all()
    assert len(venue.asked) <= 1 + MAX_REQUESTS


def test_the_venue_is_asked_for_what_the_stream_has_not_proven_and_for_nothing_else() -> None:
    source, venue, _ = taped(*(minute(number) for number in range(20, 60) if number not in (40, 41)))
    source.candles(BTC, START, LAST)
    assert venue.asked == [(0, 20), (40, 42)]
    whole, silent, _ = taped(*map(minute, range(60)))
    assert whole.candles(BTC, START, LAST).height == MINUTES - len(QUIET)
    assert silent.asked == []


def test_no_trade_candles_are_proof_and_no_rows() -> None:
    source, venue, _ = taped(minute(6), minute(7), minute(8), minute(9))
    found = source.candles(BTC, START + 6 * MINUTE, START + 10 * MINUTE)
    assert found["open_time"].to_list() == [START + 6 * MINUTE, START + 9 * MINUTE]
    assert venue.asked == []


def test_a_candle_of_a_venue_that_counts_no_trades_is_a_row() -> None:
    candle = minute(6)
    values = {name: getattr(candle, name) for name in candle.__slots__} | {"trades": None}
    source, _, _ = taped(ClosedCandle(**values))
    assert source.candles(BTC, START + 6 * MINUTE, START + 7 * MINUTE).height == 1


def test_a_candle_is_known_when_the_stream_published_it_and_history_at_its_close() -> None:
    repaired = known(minute(2), START + timedelta(hours=1))
    source, _, _ = taped(minute(1), repaired)
    found = source.candles(BTC, START, START + 3 * MINUTE)
    closes = [START + MINUTE, START + 2 * MINUTE, START + 3 * MINUTE]
    assert found["known_at"].to_list() == [closes[0], closes[1] + LIVE, closes[2]]


def test_a_restated_candle_has_its_newest_numbers_and_the_time_at_which_it_was_first_known() -> None:
    first, second = minute(1, close=99.5), known(minute(1, close=101.5), START + timedelta(minutes=30))
    source, _, _ = taped(first, second)
    found = source.candles(BTC, START + MINUTE, START + 2 * MINUTE)
    assert (found["close"][0], found["known_at"][0]) == (101.5, first.known_at)


def test_other_timeframes_and_candles_beyond_the_end_of_the_dataset_do_not_count() -> None:
    hour = ClosedCandle(
        "kraken", BTC, Timeframe.H1, START, 1.0, 1.0, 1.0, 1.0, 1.0, 1, None, None, Basis.TRADES, LAST + LIVE
    )
    after = minute(60, trades=3)
    source, venue, _ = taped(hour, after)
    found = source.candles(BTC, START, LAST + MINUTE)
    assert found["open_time"].max() == START + 58 * MINUTE
    assert venue.asked == [(0, 60)]


@pytest.mark.parametrize("arrived_after", [timedelta(seconds=30), timedelta(hours=5)])
def test_what_the_stream_knew_stays_when_candles_are_stored_later(arrived_after: timedelta) -> None:
    source, _, _ = taped(minute(57), minute(58))
    read = source.candles(BTC, START + 56 * MINUTE, LAST)
    stored = with_arrival(read, None, LAST + arrived_after, Timeframe.M1)
    assert stored["known_at"].to_list()[1:] == [START + 58 * MINUTE + LIVE, START + 59 * MINUTE + LIVE]
