"""Higher timeframes and the UTC day: known only once closed by the clock, whatever is missing."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from tests.trading.indicators.candle_walks import H1, M1, START, candles, holed, recorded
from trading.indicators import feature_table
from trading.indicators.timeframes import CHANGES, LADDER
from trading.market import Timeframe


def resampled(frame: pl.DataFrame, timeframe: Timeframe) -> pl.DataFrame:
    """Ends and closes of the higher candles that have base candles, by Polars."""
    return (
        frame.group_by_dynamic("open_time", every=timeframe.value)
        .agg(pl.col("close").last())
        .select(end=pl.col("open_time") + timeframe.duration, close="close")
    )


def trend_at(closed: pl.DataFrame, time: datetime) -> float | None:
    """Signed efficiency of the candles that ended by then, in plain words."""
    closes = closed.filter(pl.col("end") <= time)["close"].tail(CHANGES + 1).to_list()
    if len(closes) <= CHANGES:
        return None
    path = sum(abs(later - earlier) for earlier, later in pairwise(closes))
    return float((closes[-1] - closes[0]) / path) if path else 0.0


@pytest.mark.parametrize(
    ("timeframe", "first", "second"),
    [
        (M1, Timeframe.M5, Timeframe.M15), (Timeframe.M15, H1, Timeframe.H4),
        (Timeframe.M30, H1, Timeframe.H4), (H1, Timeframe.H4, Timeframe.D1),
        (Timeframe.H4, Timeframe.D1, Timeframe.D1), (Timeframe.D1, Timeframe.D1, Timeframe.D1),
    ],
)  # fmt: skip
def test_higher_trends_are_those_of_the_candles_that_had_closed_by_the_clock_and_exist(
    timeframe: Timeframe, first: Timeframe, second: Timeframe
) -> None:
    frame = holed(candles(900, 31, timeframe=timeframe, start=START + timedelta(hours=7)), 31, share=0.3)
    if timeframe is Timeframe.D1:
        frame = frame.with_columns(pl.col("open_time", "close_time", "known_at") - timedelta(hours=7))
    features = feature_table(frame, timeframe)
    for name, rung in (("higher_trend_1", first), ("higher_trend_2", second)):
        closed = resampled(frame, rung)
        for row in range(300, frame.height, 17):
            expected = trend_at(closed, frame["close_time"][row])
            assert features[name][row] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_alignment_is_the_mean_over_the_base_and_every_higher_timeframe() -> None:
    frame = holed(candles(13 * 288, 32, timeframe=Timeframe.M5), 32)
    features = feature_table(frame, Timeframe.M5)
    rungs = [rung for rung in LADDER if rung.duration >= timedelta(minutes=5)]
    tables = [resampled(frame, rung) for rung in rungs]
    assert len(rungs) == 5
    for row in range(3200, frame.height, 29):
        trends = [trend_at(table, frame["close_time"][row]) for table in tables]
        assert features["timeframe_alignment"][row] == pytest.approx(
            np.mean([trend for trend in trends if trend is not None]), rel=1e-12, abs=1e-12
        )


def test_a_higher_value_appears_with_the_base_candle_that_ends_with_it() -> None:
    features = feature_table(candles(400, 33, timeframe=M1), M1)
    changes = np.flatnonzero(np.diff(features["higher_trend_1"].to_numpy()[60:])) + 61
    assert set(features["close_time"][changes.tolist()].dt.minute() % 5) == {0}


def test_where_that_base_candle_is_missing_the_value_appears_with_the_next_there_is() -> None:
    frame = candles(400, 34, timeframe=M1).filter(pl.col("close_time").dt.minute() % 5 != 0)
    features = feature_table(frame, M1)
    changes = np.flatnonzero(np.diff(features["higher_trend_1"].to_numpy()[60:])) + 61
    assert set(features["open_time"][changes.tolist()].dt.minute() % 5) == {0}


def test_what_happens_inside_a_higher_candle_changes_nothing_before_it_closes() -> None:
    frame = candles(400, 35)
    row = 380 - 380 % 4 + 1  # the second hour of four
    wild = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    before, after = (feature_table(each[: row + 2], H1) for each in (frame, wild))
    for name in ("higher_trend_1", "higher_trend_2"):
        assert before[name][row:].equals(after[name][row:])


def test_a_steady_rise_has_a_trend_of_one_on_every_timeframe() -> None:
    frame = candles(400, 36).with_columns(
        pl.int_range(1, pl.len() + 1).cast(pl.Float64).alias(name)
        for name in ("open", "high", "low", "close")
    )
    row = feature_table(frame, H1).row(-1, named=True)
    assert [row[name] for name in ("higher_trend_1", "higher_trend_2", "timeframe_alignment")] == [1, 1, 1]


def test_the_average_price_of_the_day_starts_afresh_at_midnight_utc() -> None:
    frame = holed(candles(300, 37, start=START + timedelta(hours=5)), 37)
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    day = pl.col("open_time").dt.truncate("1d")
    expected = frame.select(
        pl.col("close")
        / ((typical * pl.col("volume")).cum_sum().over(day) / pl.col("volume").cum_sum().over(day))
        - 1
    ).to_series()
    found = feature_table(frame, H1)["vwap_distance"]
    np.testing.assert_allclose(found[23:], expected[23:], rtol=1e-9, atol=1e-13)


def test_a_day_without_trades_so_far_has_no_distance_from_its_average() -> None:
    frame = candles(60, 38).with_columns(
        volume=pl.when(pl.col("open_time") >= START + timedelta(days=1)).then(0.0).otherwise("volume")
    )
    assert feature_table(frame, H1)["vwap_distance"][24:].unique().to_list() == [0.0]


def test_recorded_minutes_with_gaps_agree_with_their_resampled_hours() -> None:
    frame = recorded("binance_BTC-USDT_1m_2021", M1)[:30_000]
    alignment = feature_table(frame, M1)["timeframe_alignment"]
    tables = [resampled(frame, rung) for rung in LADDER]
    for row in range(16_000, frame.height, 1501):
        trends = [trend_at(table, frame["close_time"][row]) or 0.0 for table in tables]
        assert alignment[row] == pytest.approx(np.mean(trends), rel=1e-9)
