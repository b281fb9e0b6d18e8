import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trading.candles import GapKind, complete, first_quote, gaps, quality, violations, with_arrival
from trading.market import CANDLE_SCHEMA, TIME, Timeframe

START = datetime(2021, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD = {"open": 2.0, "high": 3.0, "low": 1.0, "close": 2.5, "volume": 4.0}


def table(*opens: datetime | None, **changed: float | None) -> pl.DataFrame:
    """Good candles at the given opens; `changed` replaces numbers of the last one."""
    rows = [{"open_time": open_time} | GOOD for open_time in opens]
    rows[-1] |= changed
    return pl.DataFrame(rows, schema={"open_time": TIME, **dict.fromkeys(GOOD, pl.Float64())})


def rules(frame: pl.DataFrame) -> list[str]:
    return violations(frame, Timeframe.H1)["rule"].to_list()


def test_a_completed_table_has_the_schema_and_is_known_at_its_close() -> None:
    candles = complete(table(START), Timeframe.H1, "kraken")
    assert candles.schema == CANDLE_SCHEMA
    assert candles["close_time"][0] == candles["known_at"][0] == START + HOUR
    assert candles["origin"][0] == "kraken"


def test_good_candles_break_no_rule() -> None:
    assert violations(table(START, START + HOUR, START + 5 * HOUR), Timeframe.H1).is_empty()


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"high": 0.5, "open": 0.7, "close": 0.7, "low": 0.6}, "high below low"),
        ({"high": 2.2}, "high below open or close"), ({"low": 2.2}, "low above open or close"),
        ({"low": 0.0}, "price not positive"), ({"open": -2.0}, "price not positive"),
        ({"close": math.nan}, "not a finite number"), ({"high": math.inf}, "not a finite number"),
        ({"volume": None}, "not a finite number"), ({"volume": -1.0}, "negative volume"),
    ],
)  # fmt: skip
def test_each_impossible_number_breaks_its_rule(changed: dict[str, float | None], rule: str) -> None:
    assert rule in rules(table(START, START + HOUR, **changed))


def test_a_nan_high_is_one_violation_and_does_not_pass_as_the_highest_price() -> None:
    assert rules(table(START, high=math.nan)) == ["not a finite number"]


@pytest.mark.parametrize(
    ("opens", "rule"),
    [
        ((START, START), "duplicate"), ((START + HOUR, START), "not ascending"),
        ((START, START + timedelta(minutes=28)), "open not on the grid"), ((START, None), "no open time"),
    ],
)  # fmt: skip
def test_each_wrong_open_time_breaks_its_rule(opens: tuple[datetime | None, ...], rule: str) -> None:
    assert rules(table(*opens)) == [rule]


def test_a_violation_names_the_open_time_and_shows_the_numbers() -> None:
    row = violations(table(START, START + HOUR, volume=-1.0), Timeframe.H1).row(0, named=True)
    assert row["open_time"] == START + HOUR
    assert row["detail"] == "open 2.0, high 3.0, low 1.0, close 2.5, volume -1.0"


def test_a_gap_starts_at_its_first_missing_candle_and_counts_all_of_them() -> None:
    (gap,) = gaps(table(START, START + 4 * HOUR, START + 5 * HOUR), Timeframe.H1, "binance")
    assert (gap.first_missing, gap.candles, gap.kind) == (START + HOUR, 3, GapKind.OUTAGE)


@pytest.mark.parametrize(
    ("origin", "silent_hours", "kind"),
    [
        ("kraken", 1, GapKind.NO_TRADE), ("kraken", 12, GapKind.NO_TRADE), ("kraken", 13, GapKind.OUTAGE),
        ("binance", 1, GapKind.OUTAGE), ("simulated", 1, GapKind.OUTAGE),
    ],
)  # fmt: skip
def test_only_a_short_silence_of_a_venue_that_skips_idle_windows_is_no_trade(
    origin: str, silent_hours: int, kind: GapKind
) -> None:
    (gap,) = gaps(table(START, START + (silent_hours + 1) * HOUR), Timeframe.H1, origin)
    assert gap.kind is kind


@pytest.mark.parametrize("opens", [(), (START,)])
def test_fewer_than_two_candles_have_no_gap(opens: tuple[datetime, ...]) -> None:
    frame = table(START).head(len(opens))
    assert gaps(frame, Timeframe.H1, "binance") == []
    assert quality(frame, Timeframe.H1, "binance").longest_gap == 0


def test_quality_counts_missing_candles_gaps_and_zero_volume() -> None:
    frame = table(START, START + 4 * HOUR, START + 6 * HOUR, volume=0.0)
    counts = quality(frame, Timeframe.H1, "binance")
    assert (counts.rows, counts.missing, counts.zero_volume) == (3, 4, 1)
    assert (counts.gaps, counts.longest_gap) == (2, 3)


def test_the_first_quote_is_the_open_at_or_after_a_time_and_none_after_the_last() -> None:
    frame = table(START, START + 4 * HOUR, open=2.25)
    at, after = first_quote(frame, START), first_quote(frame, START + timedelta(microseconds=1))
    assert at is not None
    assert (at.price, at.time) == (2.0, START)
    assert after is not None
    assert (after.price, after.time) == (2.25, START + 4 * HOUR)
    assert first_quote(frame, START + 5 * HOUR) is None


def hourly(count: int) -> pl.DataFrame:
    return complete(table(*(START + number * HOUR for number in range(count))), Timeframe.H1, "kraken")


def test_a_candle_that_arrives_before_the_next_one_closed_became_known_when_it_arrived() -> None:
    candles = hourly(5)
    arrived = candles["close_time"][-1] + timedelta(minutes=7)
    known = with_arrival(candles, None, arrived, Timeframe.H1)
    assert known["known_at"][-1] == arrived
    assert known["known_at"][:-1].to_list() == known["close_time"][:-1].to_list()  # a back-fill


def test_a_candle_that_was_stored_keeps_when_it_became_known_also_where_it_is_restated() -> None:
    candles = hourly(5)
    arrived = candles["close_time"][-1] + timedelta(minutes=7)
    stored = with_arrival(candles, None, arrived, Timeframe.H1)
    restated = candles.with_columns(close=pl.col("close") * 1.001, high=pl.col("high") * 1.01)
    again = with_arrival(restated, stored, arrived + timedelta(hours=3), Timeframe.H1)
    assert again["known_at"].to_list() == stored["known_at"].to_list()
    assert again["close"].to_list() == restated["close"].to_list()
    assert again.schema == candles.schema


def test_a_candle_that_has_not_closed_by_the_clock_is_not_stored() -> None:
    candles = hourly(5)
    early = candles["close_time"][-1] - timedelta(seconds=1)
    assert with_arrival(candles, None, early, Timeframe.H1).height == 4
