"""Nothing sees the future, nothing remembers its start; and whatever did would be named by its column."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.indicators.candle_walks import H1, M1, START, candles, holed, recorded
from trading.indicators import feature_table, lookback
from trading.indicators.bias_checks import TOLERANCE, lookahead_columns, recursive_bias
from trading.market import Timeframe


def honest(frame: pl.DataFrame) -> pl.DataFrame:
    return feature_table(frame, H1)


def peeking(frame: pl.DataFrame) -> pl.DataFrame:
    """Centred smoothing: the classic mistake."""
    return honest(frame).with_columns(rsi_14=pl.col("rsi_14").rolling_mean(5, center=True, min_samples=1))


def higher_candle_too_early(frame: pl.DataFrame) -> pl.DataFrame:
    """The four-hour close beside each of its hours: what a join on the open time does."""
    fours = frame.group_by_dynamic("open_time", every="4h").agg(pl.col("close").last().alias("four"))
    return honest(frame).join_asof(fours, on="open_time")


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 600), min_size=1, max_size=4),
    tick=st.sampled_from([0.0, 0.5]), timeframe=st.sampled_from([M1, H1, Timeframe.H4]),
)  # fmt: skip
def test_whatever_the_cut_every_row_before_it_stays_what_it_was(
    seed: int, cuts: list[int], tick: float, timeframe: Timeframe
) -> None:
    frame = holed(candles(600, seed, tick, still=0.2, timeframe=timeframe), seed)
    assert lookahead_columns(lambda part: feature_table(part, timeframe), frame, cuts) == {}


def test_on_recorded_minutes_with_gaps_too_every_row_before_a_cut_stays_what_it_was() -> None:
    frame = recorded("binance_XRP-BTC_1m_2021", M1)[:40_000]
    assert lookahead_columns(lambda part: feature_table(part, M1), frame, [17_000, 25_003, 39_999]) == {}


def test_a_planted_look_ahead_is_caught_and_its_column_and_first_time_named() -> None:
    frame = candles(400, 51)
    assert lookahead_columns(peeking, frame, [200, 300]) == {"rsi_14": START + timedelta(hours=198)}


def test_a_higher_candle_that_is_shown_before_it_closes_is_caught() -> None:
    frame = candles(400, 52)
    assert set(lookahead_columns(higher_candle_too_early, frame, [301])) == {"four"}


def test_words_and_times_that_change_are_caught_too() -> None:
    def last_word(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select("open_time", last=pl.col("open_time").last(), word=pl.lit(str(frame.height)))

    assert set(lookahead_columns(last_word, candles(9), [5])) == {"last", "word"}


def test_a_number_that_appears_only_later_is_caught() -> None:
    def late(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select("open_time", value=pl.col("close").shift(-1))

    assert lookahead_columns(late, candles(9), [5]) == {"value": START + timedelta(hours=4)}


def test_stored_rows_that_no_computation_gives_are_caught() -> None:
    frame = candles(400, 53)
    stored = honest(frame)[300:].with_columns(adx_14=pl.col("adx_14") * (1 + 1e-6))
    assert lookahead_columns(honest, frame, [350], stored) == {"adx_14": START + timedelta(hours=300)}


def test_differences_of_rounding_are_none() -> None:
    frame = candles(400, 54)
    stored = honest(frame).with_columns(adx_14=pl.col("adx_14") * (1 + 1e-12))
    assert lookahead_columns(honest, frame, [350], stored) == {}


def test_with_the_stated_look_back_no_feature_remembers_where_history_starts() -> None:
    frame = holed(candles(2600, 55), 55)
    bias = recursive_bias(honest, frame, [1, 500, 1200], lookback(H1))
    assert max(bias.values()) <= TOLERANCE
    assert "known_at" not in bias


def test_a_planted_look_back_that_is_too_short_is_caught_and_its_column_named() -> None:
    def with_a_slow_average(frame: pl.DataFrame) -> pl.DataFrame:
        return honest(frame).with_columns(ema_800=frame["close"].ewm_mean(span=800, adjust=False))

    bias = recursive_bias(with_a_slow_average, candles(2600, 56), [500], lookback(H1))
    assert {name for name, worst in bias.items() if worst > TOLERANCE} == {"ema_800"}


def test_a_look_back_of_a_tenth_is_too_short_for_what_remembers_all_of_history() -> None:
    bias = recursive_bias(honest, candles(2600, 57), [500, 900], 100)
    remembering = {name for name, worst in bias.items() if worst > TOLERANCE}
    assert {"ema_50_ratio", "adx_14", "macd_signal", "sma_200_ratio"} <= remembering
    assert not {"roc_10", "williams_r", "obv_z", "parkinson"} & remembering


@pytest.mark.parametrize("starts", [[], [0]])
def test_a_history_from_which_nothing_is_withheld_has_no_bias(starts: list[int]) -> None:
    assert set(recursive_bias(honest, candles(300, 58), starts, 10).values()) <= {0.0}
