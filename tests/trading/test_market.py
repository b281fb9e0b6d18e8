from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.market import (
    CANDLE_SCHEMA,
    Instrument,
    Pair,
    PairStatus,
    Timeframe,
    Universe,
    month_of,
    month_start,
    months_between,
    next_month,
)

INSTRUMENT = Instrument(
    pair=Pair("XRP", "BTC"), price_increment=Decimal("0.00000001"), quantity_increment=Decimal("0.1"),
    minimum_quantity=Decimal("10"), minimum_cost=Decimal("0.00002"), taker_fee=Decimal("0.0026"),
    maker_fee=Decimal("0.0016"),
)  # fmt: skip
WORDS = st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=6)
MONTHS = st.dates(date(1970, 1, 1), date(2200, 12, 31)).map(lambda day: day.replace(day=1))


@pytest.mark.parametrize("text", ["BTC/USDT", "BTC-USDT", "btc/usdt", "btc-Usdt"])
def test_a_pair_reads_the_way_people_and_folders_write_it(text: str) -> None:
    assert Pair.parse(text) == Pair("BTC", "USDT")


@pytest.mark.parametrize("text", ["", "BTC", "BTC/", "/USDT", "BTC/BTC", "BTC/US DT", "A/B/C", "BTC_USDT"])
def test_what_is_no_pair_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a pair: write it like BTC/USDT"):
        Pair.parse(text)


@given(WORDS, WORDS)
def test_every_pair_survives_its_own_spelling(base: str, quote: str) -> None:
    if base != quote:
        pair = Pair(base, quote)
        assert Pair.parse(str(pair)) == Pair.parse(pair.key) == pair


@pytest.mark.parametrize("timeframe", Timeframe)
def test_every_timeframe_divides_the_day(timeframe: Timeframe) -> None:
    assert timedelta(days=1) % timeframe.duration == timedelta(0)


@pytest.mark.parametrize(
    ("timeframe", "count"), [(Timeframe.M1, 525_600), (Timeframe.H4, 2190), (Timeframe.D1, 365)]
)
def test_a_year_has_so_many_candles(timeframe: Timeframe, count: int) -> None:
    assert timeframe.per_year == count


@pytest.mark.parametrize("name", ["price_increment", "quantity_increment"])
@pytest.mark.parametrize("value", ["0", "-0.1"])
def test_an_increment_above_zero_is_required(name: str, value: str) -> None:
    with pytest.raises(InvalidValue, match=f"XRP/BTC: {name} must be above zero"):
        replace(INSTRUMENT, **{name: Decimal(value)})  # type: ignore[arg-type]


def test_an_instrument_is_online_unless_the_venue_says_otherwise() -> None:
    assert INSTRUMENT.status is PairStatus.ONLINE


def test_a_candle_has_its_times_in_utc_and_its_numbers_as_floats() -> None:
    assert CANDLE_SCHEMA.names()[:2] == ["open_time", "close_time"]
    assert {str(CANDLE_SCHEMA[name]) for name in ("open_time", "close_time", "known_at")} == {
        "Datetime(time_unit='us', time_zone='UTC')"
    }
    assert {str(CANDLE_SCHEMA[name]) for name in ("open", "high", "low", "close", "volume")} == {"Float64"}


UNIVERSE = Universe((Pair("BTC", "USDT"), Pair("XRP", "BTC")), "USDT", Timeframe.H1, "kraken")


def test_real_and_simulated_candles_have_names_of_their_own() -> None:
    assert UNIVERSE.dataset == "kraken-1h"
    assert replace(UNIVERSE, origin="simulated").dataset == "simulated-1h"


def test_an_asset_is_priced_by_its_own_pair_or_by_none() -> None:
    assert UNIVERSE.direct_pair("BTC") == Pair("BTC", "USDT")
    assert UNIVERSE.direct_pair("XRP") is None


def test_the_month_of_a_time_is_that_of_utc() -> None:
    elsewhere = timezone(timedelta(hours=9))
    assert month_of(datetime(2024, 3, 1, 8, tzinfo=elsewhere)) == date(2024, 2, 1)


@given(MONTHS)
def test_a_month_starts_in_itself_and_the_next_one_right_after_its_last_moment(month: date) -> None:
    following = next_month(month)
    assert month_of(month_start(month)) == month
    assert month_of(month_start(following) - timedelta(microseconds=1)) == month
    assert following.day == 1


def test_a_month_starts_at_midnight_utc() -> None:
    assert month_start(date(2024, 2, 1)) == datetime(2024, 2, 1, tzinfo=UTC)


@given(MONTHS, st.integers(0, 40))
def test_months_between_are_consecutive_and_include_both_ends(first: date, count: int) -> None:
    last = first
    for _ in range(count):
        last = next_month(last)
    months = months_between(first.replace(day=17), last.replace(day=28))
    assert (months[0], months[-1], len(months)) == (first, last, count + 1)
    assert all(after == next_month(before) for before, after in pairwise(months))


def test_between_a_later_and_an_earlier_month_lies_none() -> None:
    assert months_between(date(2024, 2, 1), date(2024, 1, 31)) == []
