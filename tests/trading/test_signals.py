import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.indicators.candle_walks import recorded
from trading.errors import InvalidValue
from trading.indicators import feature_table, live_row
from trading.market import CANDLE_SCHEMA, TIME, Timeframe
from trading.signals import USED, Direction, SignalRules, protective_levels, signal_table, technical_signal

RULES = SignalRules(
    trend_threshold=0.3, breakout_volume_ratio=1.5, stop_atr=1.5, stop_maximum=0.02, reward_risk=2.0
)

# EMA 9 > 21 > 50 two ATRs apart, ADX 35, room left in RSI, inside the bands.
UPTREND = {
    "ema_9_ratio": 0.01, "ema_21_ratio": 0.03, "ema_50_ratio": 0.05, "adx_14": 0.35, "plus_di_14": 0.32,
    "minus_di_14": 0.12, "macd_histogram": 0.001, "rsi_14": 0.66, "atr_14_share": 0.01,
    "bollinger_percent_b": 0.85, "squeeze_ratio": 1.4, "squeeze_lowest": 1.3, "volume_ratio": 1.0,
}  # fmt: skip

SIDEWAYS = UPTREND | {
    "ema_9_ratio": 0.001, "ema_21_ratio": 0.0005, "ema_50_ratio": 0.0011, "adx_14": 0.14, "plus_di_14": 0.21,
    "minus_di_14": 0.19, "macd_histogram": 0.0001, "rsi_14": 0.52, "bollinger_percent_b": 0.6,
}  # fmt: skip

BREAKOUT = SIDEWAYS | {
    "bollinger_percent_b": 1.2, "volume_ratio": 2.4, "squeeze_lowest": 0.8, "squeeze_ratio": 1.1,
}  # fmt: skip


def mirrored(row: dict[str, float]) -> dict[str, float]:
    """The same market upside down."""
    turned = {name: -row[name] for name in ("ema_9_ratio", "ema_21_ratio", "ema_50_ratio", "macd_histogram")}
    turned |= {name: 1 - row[name] for name in ("rsi_14", "bollinger_percent_b")}
    return row | turned | {"plus_di_14": row["minus_di_14"], "minus_di_14": row["plus_di_14"]}


def candles(logs: list[float]) -> pl.DataFrame:
    close = 100 * np.exp(np.array(logs))
    times = [datetime(2024, 1, 1, tzinfo=UTC) + i * timedelta(hours=1) for i in range(len(close))]
    later = [time + timedelta(hours=1) for time in times]
    same = [1.0] * len(close)
    columns = (
        times, later, close, close * 1.004, close / 1.004, close, same, ["simulated"] * len(close), later,
    )  # fmt: skip
    return pl.DataFrame(dict(zip(CANDLE_SCHEMA, columns, strict=True)), schema=CANDLE_SCHEMA)


def test_a_clean_aligned_trend_is_long_with_a_strength_of_at_least_0_6() -> None:
    signal = technical_signal(UPTREND, 100.0, RULES)
    assert signal.direction is Direction.LONG
    assert 0.6 <= signal.strength <= 1


def test_noise_has_no_direction_and_a_strength_below_0_3() -> None:
    signal = technical_signal(SIDEWAYS, 100.0, RULES)
    assert signal.direction is Direction.NEUTRAL
    assert signal.strength < 0.3
    assert (signal.entry_price, signal.stop_loss, signal.take_profit) == (None, None, None)


def test_candles_that_rise_steadily_give_a_long_signal_and_their_mirror_image_a_short_one() -> None:
    rng = np.random.default_rng(4)
    logs = np.cumsum(rng.normal(0.003, 0.004, 400))
    for sign, direction in ((1, Direction.LONG), (-1, Direction.SHORT)):
        signal = technical_signal(live_row(candles(list(sign * logs)), Timeframe.H1), 100.0, RULES)
        assert signal.direction is direction
        assert signal.strength >= 0.6


def test_candles_that_scatter_around_a_level_are_rarely_a_signal() -> None:
    frame = candles(list(np.random.default_rng(5).normal(0, 0.004, 900)))
    rows = [live_row(frame[: end + 1], Timeframe.H1) for end in range(270, 900, 10)]
    signals = [technical_signal(row, 100.0, RULES) for row in rows]
    assert np.mean([signal.direction is Direction.NEUTRAL for signal in signals]) > 0.95
    assert np.median([signal.strength for signal in signals]) < 0.1


def test_a_breakout_on_volume_is_a_signal_where_the_trend_is_not() -> None:
    assert technical_signal(BREAKOUT, 100.0, RULES).direction is Direction.LONG


def test_a_breakout_without_volume_is_no_signal() -> None:
    assert technical_signal(BREAKOUT | {"volume_ratio": 0.7}, 100.0, RULES).direction is Direction.NEUTRAL


def test_a_breakout_out_of_a_squeeze_is_stronger_than_one_without() -> None:
    without = BREAKOUT | {"squeeze_lowest": 1.05}
    assert technical_signal(BREAKOUT, 1.0, RULES).strength > technical_signal(without, 1.0, RULES).strength


def test_a_breakout_against_the_trend_weakens_it() -> None:
    against = UPTREND | {"bollinger_percent_b": -0.2, "volume_ratio": 3.0}
    assert technical_signal(against, 1.0, RULES).strength < technical_signal(UPTREND, 1.0, RULES).strength


def test_an_exhausted_rsi_weakens_the_trend_on_either_side() -> None:
    exhausted = UPTREND | {"rsi_14": 0.97}
    for row, fresh in ((exhausted, UPTREND), (mirrored(exhausted), mirrored(UPTREND))):
        assert technical_signal(row, 1.0, RULES).strength < technical_signal(fresh, 1.0, RULES).strength


@pytest.mark.parametrize("row", [UPTREND, SIDEWAYS, BREAKOUT])
def test_the_mirror_image_of_a_market_gives_the_opposite_signal(row: dict[str, float]) -> None:
    signal, mirror = technical_signal(row, 100.0, RULES), technical_signal(mirrored(row), 100.0, RULES)
    assert mirror.direction.sign == -signal.direction.sign
    assert mirror.strength == pytest.approx(signal.strength, abs=1e-12)


def test_averages_that_contradict_each_other_are_no_trend() -> None:
    fast_up_slow_down = SIDEWAYS | {"ema_9_ratio": 0.0, "ema_21_ratio": 0.02, "ema_50_ratio": 0.0}
    assert technical_signal(fast_up_slow_down | {"adx_14": 0.4}, 100.0, RULES).strength < 0.1


def test_the_score_is_what_the_module_says() -> None:
    row = BREAKOUT | {
        "ema_9_ratio": 0.0,
        "ema_21_ratio": 0.005,  # half an ATR
        "ema_50_ratio": 0.05,
        "adx_14": 0.25,  # 0.4 of the way from 0.15 to 0.40
        "plus_di_14": 0.3,
        "minus_di_14": 0.1,
        "macd_histogram": 0.00125,  # half of a quarter ATR
        "rsi_14": 0.9,  # takes an eighth
        "bollinger_percent_b": 1.075,  # half of the excess
        "volume_ratio": 1.125,  # half of the confirmation
        "squeeze_lowest": 0.95,  # half squeezed
        "squeeze_ratio": 1.2,  # widened in full
    }
    trend = (0.40 * 0.5 + 0.30 * 0.4 * 0.5 + 0.15 * 0.5 + 0.15 * 0.5) * 0.875
    breakout = 0.5 * 0.5 * (0.6 + 0.4 * 0.5)
    signal = technical_signal(row, 100.0, RULES)
    assert signal.strength == pytest.approx(trend + (1 - trend) * breakout, rel=1e-9)


def test_without_any_movement_the_direction_counts_nothing() -> None:
    row = SIDEWAYS | {"plus_di_14": 0.0, "minus_di_14": 0.0}
    assert technical_signal(row, 100.0, RULES).strength < 0.1


def test_a_long_stop_lies_below_and_its_take_profit_above_by_the_wanted_ratio() -> None:
    signal = technical_signal(UPTREND, 200.0, RULES)
    assert signal.entry_price == 200.0
    assert signal.stop_loss == pytest.approx(200 - 1.5 * 0.01 * 200)
    assert signal.take_profit == pytest.approx(200 + 2 * 1.5 * 0.01 * 200)


def test_a_short_stop_lies_above_and_its_take_profit_below() -> None:
    signal = technical_signal(mirrored(UPTREND), 200.0, RULES)
    assert signal.stop_loss == pytest.approx(203.0)
    assert signal.take_profit == pytest.approx(194.0)


def test_a_wide_atr_does_not_push_the_stop_beyond_the_maximum() -> None:
    assert protective_levels(Direction.LONG, 100.0, {"atr_14_share": 0.5}, RULES) == pytest.approx(
        (98.0, 104.0)
    )


@pytest.mark.parametrize("atr", [math.nan, math.inf, -0.01, 0.0, 1e-30, None])
def test_without_a_usable_atr_there_are_no_levels(atr: float | None) -> None:
    assert protective_levels(Direction.LONG, 100.0, {"atr_14_share": atr}, RULES) == (None, None)


def test_without_a_direction_there_are_no_levels() -> None:
    assert protective_levels(Direction.NEUTRAL, 100.0, UPTREND, RULES) == (None, None)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e300, None])
@pytest.mark.parametrize("name", USED)
def test_an_impossible_input_is_neutral_and_named(name: str, wrong: float | None) -> None:
    signal = technical_signal(UPTREND | {name: wrong}, 100.0, RULES)
    assert (signal.direction, signal.strength) == (Direction.NEUTRAL, 0.0)
    assert any(name in reason for reason in signal.reasons)
    assert all(math.isfinite(value) for value in signal.indicators.values())


def test_a_missing_input_is_neutral_and_named() -> None:
    signal = technical_signal({key: value for key, value in UPTREND.items() if key != "rsi_14"}, 100.0, RULES)
    assert signal.strength == 0
    assert signal.reasons == ("no signal: rsi_14 is nan",)


@pytest.mark.parametrize("close", [math.nan, math.inf, 0.0, -1.0])
def test_an_impossible_close_is_neutral_and_named(close: float) -> None:
    signal = technical_signal(UPTREND, close, RULES)
    assert signal.direction is Direction.NEUTRAL
    assert signal.reasons == (f"no signal: close is {close}",)


def test_a_market_that_does_not_move_is_neutral_and_says_so() -> None:
    signal = technical_signal(UPTREND | {"atr_14_share": 0.0}, 100.0, RULES)
    assert signal.reasons == ("no signal: atr_14_share is 0: nothing moves",)


def test_a_price_without_room_for_a_stop_gives_no_direction() -> None:
    signal = technical_signal(UPTREND, 5e-324, RULES)
    assert signal.direction is Direction.NEUTRAL
    assert "no room for a stop" in signal.reasons[-1]


def test_the_reasons_carry_the_numbers() -> None:
    trend, breakout, verdict = technical_signal(UPTREND, 100.0, RULES).reasons
    assert "ADX 35, +DI 32 against -DI 12" in trend
    assert "RSI 66" in trend
    assert "%B 0.85" in breakout
    assert verdict.endswith("is LONG: stop 98.5, take profit 103")


def test_the_signal_lists_every_value_it_used_and_no_other() -> None:
    assert technical_signal(UPTREND | {"obv_z": 1.0}, 100.0, RULES).indicators == UPTREND


@settings(deadline=None, max_examples=150)
@given(
    row=st.fixed_dictionaries({name: st.floats() | st.floats(-3, 3) for name in USED}),
    close=st.floats() | st.floats(1e-8, 1e5),
)
def test_no_row_however_absurd_raises_or_leaves_the_scale(row: dict[str, float], close: float) -> None:
    signal = technical_signal(row, close, RULES)
    assert 0 <= signal.strength <= 1
    if signal.direction is Direction.NEUTRAL:
        assert signal.stop_loss is None
    else:
        assert signal.entry_price
        assert signal.stop_loss
        assert signal.take_profit
        side = signal.direction.sign
        assert side * signal.stop_loss < side * signal.entry_price < side * signal.take_profit
        assert signal.strength >= RULES.trend_threshold


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries({name: st.floats(0.001, 1) for name in USED}),
    st.floats(-1e-6, 1e-6),
    st.sampled_from(USED),
)
def test_strength_has_no_jumps(row: dict[str, float], nudge: float, name: str) -> None:
    """No part is steeper than 1 / ATR, and the ATR here is at least 0.1 %."""
    rules = replace(RULES, trend_threshold=1.0)
    steady = row | {"ema_9_ratio": 0.0, "ema_21_ratio": 0.5, "ema_50_ratio": 1.0}
    moved = steady | {name: steady[name] + nudge}
    assert technical_signal(moved, 1.0, rules).strength == pytest.approx(
        technical_signal(steady, 1.0, rules).strength, abs=0.02
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trend_threshold", 0.0), ("trend_threshold", 1.1), ("breakout_volume_ratio", -1.0),
        ("stop_atr", math.nan), ("stop_maximum", 0.2), ("reward_risk", 10.0),
    ],
)  # fmt: skip
def test_impossible_rules_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is {value}: allowed is above 0"):
        replace(RULES, **{name: value})


def features_of(rows: list[dict[str, float | None]]) -> pl.DataFrame:
    times = [datetime(2024, 1, 1, tzinfo=UTC) + row * timedelta(hours=1) for row in range(len(rows))]
    columns = {name: pl.Series([row[name] for row in rows], dtype=pl.Float64) for name in USED}
    return pl.DataFrame({"open_time": pl.Series(times, dtype=TIME), **columns})


def refuse_any_difference(features: pl.DataFrame, closes: list[float], rules: SignalRules) -> None:
    """Row by row and to the last digit."""
    table = signal_table(features, np.array(closes, dtype=np.float64), rules)
    assert table["open_time"].equals(features["open_time"])
    for row, close, found in zip(
        features.iter_rows(named=True), closes, table.iter_rows(named=True), strict=True
    ):
        signal = technical_signal(row, close, rules)
        assert (found["direction"], found["strength"]) == (signal.direction.sign, signal.strength)
        if signal.direction is Direction.NEUTRAL:
            assert (found["stop_distance"], found["target_distance"]) == (None, None)
        else:
            side = signal.direction.sign
            assert close * (1 - side * found["stop_distance"]) == signal.stop_loss
            assert close * (1 + side * found["target_distance"]) == signal.take_profit


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([UPTREND, BREAKOUT, mirrored(UPTREND), mirrored(BREAKOUT)]),
            st.dictionaries(st.sampled_from(USED), st.none() | st.floats() | st.floats(-3, 3), max_size=4),
            st.floats() | st.floats(1e-8, 1e5),
        ),
        max_size=5,
    )
)
def test_the_table_is_the_signal_of_each_row(
    cases: list[tuple[dict[str, float], dict[str, float | None], float]],
) -> None:
    rows = [base | changed for base, changed, _ in cases]
    refuse_any_difference(features_of(rows), [close for *_, close in cases], RULES)


@settings(deadline=None, max_examples=100)
@given(row=st.fixed_dictionaries({name: st.none() | st.floats() for name in USED}), close=st.floats())
def test_the_table_of_an_absurd_row_is_its_signal_too(row: dict[str, float | None], close: float) -> None:
    refuse_any_difference(features_of([row]), [close], RULES)


def test_the_table_of_recorded_candles_is_the_signal_of_each_and_takes_both_sides() -> None:
    candles = recorded("binance_XRP-USDT_1h_2018-2020", Timeframe.H1)[:3000]
    features, closes = feature_table(candles, Timeframe.H1), candles["close"]
    refuse_any_difference(features, closes.to_list(), RULES)
    shares = signal_table(features, closes.to_numpy(), RULES)["direction"].value_counts(normalize=True)
    assert all(0.1 < share < 0.8 for share in shares["proportion"])
    assert shares.height == 3


def test_the_table_has_one_row_per_candle_with_its_distances() -> None:
    table = signal_table(features_of([UPTREND, SIDEWAYS, mirrored(UPTREND)]), np.full(3, 200.0), RULES)
    assert table.schema == {
        "open_time": TIME, "direction": pl.Int8(), "strength": pl.Float64(), "stop_distance": pl.Float64(),
        "target_distance": pl.Float64(),
    }  # fmt: skip
    assert table["direction"].to_list() == [1, 0, -1]
    assert table["stop_distance"].to_list() == pytest.approx([0.015, None, 0.015])
    assert table["target_distance"].to_list() == pytest.approx([0.03, None, 0.03])


def test_the_table_takes_a_side_from_exactly_the_threshold_on() -> None:
    strength = technical_signal(UPTREND, 100.0, RULES).strength
    for threshold, direction in ((strength, 1), (math.nextafter(strength, 1), 0)):
        rules = replace(RULES, trend_threshold=threshold)
        table = signal_table(features_of([UPTREND]), np.array([100.0]), rules)
        assert table["direction"].item() == direction


def test_a_price_without_room_for_a_stop_gives_no_direction_in_the_table() -> None:
    table = signal_table(features_of([UPTREND]), np.array([5e-324]), RULES)
    assert table.row(0)[1:] == (0, technical_signal(UPTREND, 5e-324, RULES).strength, None, None)


def test_a_row_inside_a_warm_up_is_neutral_in_the_table() -> None:
    table = signal_table(features_of([UPTREND | {"ema_50_ratio": None}]), np.array([100.0]), RULES)
    assert table.row(0)[1:] == (0, 0.0, None, None)


def test_no_features_give_an_empty_table_of_the_same_columns() -> None:
    empty = signal_table(features_of([]), np.empty(0), RULES)
    assert empty.schema == signal_table(features_of([UPTREND]), np.ones(1), RULES).schema
    assert empty.height == 0


def test_a_later_row_changes_no_earlier_one() -> None:
    rows = [UPTREND, SIDEWAYS, BREAKOUT, mirrored(UPTREND)]
    whole = signal_table(features_of(rows), np.full(4, 100.0), RULES)
    assert signal_table(features_of(rows[:2]), np.full(2, 100.0), RULES).equals(whole[:2])


def test_features_without_a_needed_column_are_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="the features lack rsi_14, volume_ratio"):
        signal_table(features_of([UPTREND]).drop("rsi_14", "volume_ratio"), np.ones(1), RULES)


def test_closes_of_other_candles_are_refused() -> None:
    with pytest.raises(InvalidValue, match="2 closes for 1 rows"):
        signal_table(features_of([UPTREND]), np.ones(2), RULES)
