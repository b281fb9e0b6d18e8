from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.indicators.candle_walks import (
    H1,
    PRICES,
    START,
    Array,
    arrays,
    candles,
    flat,
    market,
    newest,
    recorded,
    table,
    values,
)
from trading.indicators import FEATURE_NAMES, FEATURE_SCHEMA, FEATURES, Feature, feature_table
from trading.regime import RegimeKind

HOUR = timedelta(hours=1)


def test_there_are_at_least_twenty_five_features_with_names_of_their_own() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURES) >= 25
    assert all(feature.formula and feature.unit and feature.source for feature in FEATURES)


def test_the_table_has_one_row_per_candle_and_one_float_column_per_feature() -> None:
    features = feature_table(market(), H1)
    assert features.columns == ["open_time", "close_time", "known_at", *FEATURE_NAMES, "regime"]
    assert features.schema == FEATURE_SCHEMA
    assert features["open_time"].equals(market()["open_time"])
    assert set(features.select(FEATURE_NAMES).dtypes) == {pl.Float64()}


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURE_NAMES)
def test_a_feature_is_null_exactly_inside_its_warm_up(feature: Feature) -> None:
    column = feature_table(market(), H1)[feature.name]
    assert column.is_null().to_list() == [row < feature.warm_up_for(H1) for row in range(column.len())]


def test_a_row_is_known_once_the_last_of_its_candles_is() -> None:
    late = START + timedelta(days=3)
    frame = market()[:6].with_columns(
        known_at=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(late)).otherwise(pl.col("known_at"))
    )
    known = feature_table(frame, H1)["known_at"].to_list()
    assert known == [START + HOUR, START + 2 * HOUR, late, late, late, late]


def test_moving_averages_momentum_and_volume_match_their_formulas_by_hand() -> None:
    high, low, close, volume = arrays(market())
    row = newest(market())
    mean, deviation = close[-20:].mean(), close[-20:].std()
    returns = np.diff(np.log(close))
    assert row["log_return"] == pytest.approx(np.log(close[-1] / close[-2]), rel=1e-12)
    assert row["roc_10"] == pytest.approx(close[-1] / close[-11] - 1, rel=1e-12)
    assert row["sma_200_ratio"] == pytest.approx(close[-1] / close[-200:].mean() - 1, rel=1e-9)
    assert row["bollinger_width"] == pytest.approx(4 * deviation / mean, rel=1e-9)
    assert row["bollinger_percent_b"] == pytest.approx((close[-1] - mean + 2 * deviation) / (4 * deviation))
    assert row["realised_volatility"] == pytest.approx(np.sqrt((returns[-24:] ** 2).mean()), rel=1e-12)
    assert row["parkinson"] == pytest.approx(
        np.sqrt((np.log(high[-24:] / low[-24:]) ** 2).mean() / (4 * np.log(2))), rel=1e-12
    )
    assert row["volume_ratio"] == pytest.approx(volume[-1] / volume[-20:].mean(), rel=1e-12)
    assert row["williams_r"] == pytest.approx(
        (close[-1] - high[-14:].max()) / (high[-14:].max() - low[-14:].min()), rel=1e-12
    )


def test_exponential_and_wilder_averages_match_a_plain_loop() -> None:
    high, low, close, _ = arrays(market())
    ema, gain, loss, true_range = close[0], 0.0, 0.0, high[0] - low[0]
    for i in range(1, len(close)):
        change = close[i] - close[i - 1]
        ema += (close[i] - ema) * 2 / 22
        gain += (max(change, 0.0) - gain) / 14
        loss += (max(-change, 0.0) - loss) / 14
        span = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        true_range += (span - true_range) / 14
    row = newest(market())
    assert row["ema_21_ratio"] == pytest.approx(close[-1] / ema - 1, rel=1e-9)
    assert row["rsi_14"] == pytest.approx(gain / (gain + loss), rel=1e-9)
    assert row["atr_14_share"] == pytest.approx(true_range / close[-1], rel=1e-9)


def test_obv_z_is_the_score_of_the_newest_balance_among_fifty() -> None:
    _, _, close, volume = arrays(market())
    balance = np.concatenate([[0], (np.sign(np.diff(close)) * volume[1:]).cumsum()])[-50:]
    assert newest(market())["obv_z"] == pytest.approx(
        (balance[-1] - balance.mean()) / balance.std(), rel=1e-9
    )


REFERENCES: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "adx_14": lambda high, low, close, volume: talib.ADX(high, low, close, 14) / 100,
    "plus_di_14": lambda high, low, close, volume: talib.PLUS_DI(high, low, close, 14) / 100,
    "minus_di_14": lambda high, low, close, volume: talib.MINUS_DI(high, low, close, 14) / 100,
    "mfi_14": lambda high, low, close, volume: talib.MFI(high, low, close, volume, 14) / 100,
    "stochastic_k": lambda high, low, close, volume: (
        talib.STOCH(high, low, close, 14, 3, slowd_period=3)[0] / 100
    ),
    "stochastic_d": lambda high, low, close, volume: (
        talib.STOCH(high, low, close, 14, 3, slowd_period=3)[1] / 100
    ),
    "chaikin": lambda high, low, close, volume: (
        talib.ADOSC(high, low, close, volume, 3, 10) / talib.SMA(volume, 20)
    ),
    "macd_histogram": lambda high, low, close, volume: talib.MACD(close, 12, 26, 9)[2] / close,
    "cci_20": lambda high, low, close, volume: talib.CCI(high, low, close, 20) / 100,
    "keltner_position": lambda high, low, close, volume: (
        (close - talib.EMA(close, 20)) / (1.5 * talib.ATR(high, low, close, 20))
    ),
    "aroon_25": lambda high, low, close, volume: talib.AROONOSC(high, low, 25) / 100,
    "slope_14": lambda high, low, close, volume: talib.LINEARREG_SLOPE(close, 14) / close,
    "sma_200_ratio": lambda high, low, close, volume: close / talib.SMA(close, 200) - 1,
    "trix_15": lambda high, low, close, volume: talib.TRIX(close, 15) / 100,
    "rsi_14": lambda high, low, close, volume: talib.RSI(close, 14) / 100,
    "bollinger_width": lambda high, low, close, volume: (
        (talib.BBANDS(close, 20, 2, 2)[0] - talib.BBANDS(close, 20, 2, 2)[2]) / talib.SMA(close, 20)
    ),
    "squeeze_ratio": lambda high, low, close, volume: (
        2 * talib.STDDEV(close, 20) / (1.5 * talib.ATR(high, low, close, 20))
    ),
    "volume_ratio": lambda high, low, close, volume: volume / talib.SMA(volume, 20),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_on_an_ordinary_market_the_feature_is_the_reference_library_s(name: str) -> None:
    expected = REFERENCES[name](*arrays(market()))[600:]
    assert feature_table(market(), H1)[name].to_numpy()[600:] == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_squeeze_lowest_is_the_lowest_ratio_of_ten_candles() -> None:
    features = feature_table(market(), H1)
    assert features["squeeze_lowest"][-1] == features["squeeze_ratio"][-10:].min()


def test_bounded_features_stay_in_their_bounds() -> None:
    features = feature_table(candles(800, seed=5, tick=0.5, still=0.5), H1)
    for feature in FEATURES:
        column = features[feature.name].drop_nulls()
        if feature.unit == "0..1" and feature.name != "bollinger_percent_b":
            assert column.is_between(-1e-12, 1 + 1e-12).all(), feature.name
        if feature.unit == "-1..1":
            assert column.is_between(-1 - 1e-12, 1 + 1e-12).all(), feature.name
    assert features["williams_r"].drop_nulls().is_between(-1, 0).all()
    assert features["support_distance"].drop_nulls().is_between(0, 1).all()
    assert (features["resistance_distance"].drop_nulls() >= 0).all()


def test_the_label_is_the_regime_with_the_largest_weight() -> None:
    features = feature_table(candles(3000, seed=8), H1)
    weights = features.select(kind.column for kind in RegimeKind).to_numpy()
    kinds = [kind.value for kind in RegimeKind]
    expected = [None if np.isnan(row).any() else kinds[int(row.argmax())] for row in weights]
    assert features["regime"].to_list() == expected
    assert set(kinds) <= set(expected)


STILL = {
    "adx_14": 0.0, "plus_di_14": 0.0, "minus_di_14": 0.0, "rsi_14": 0.5, "stochastic_k": 0.5,
    "stochastic_d": 0.5, "cci_20": 0.0, "williams_r": -0.5, "mfi_14": 0.5, "atr_14_share": 0.0,
    "bollinger_width": 0.0, "bollinger_percent_b": 0.5, "keltner_position": 0.0, "squeeze_ratio": 1.0,
    "squeeze_lowest": 1.0, "realised_volatility": 0.0, "parkinson": 0.0, "obv_z": 0.0, "chaikin": 0.0,
    "log_return": 0.0, "roc_10": 0.0, "aroon_25": 0.0, "sar_distance": 0.0, "slope_14": 0.0, "trix_15": 0.0,
    "higher_trend_1": 0.0, "higher_trend_2": 0.0, "timeframe_alignment": 0.0, "squeeze_release": 0.0,
    "volatility_percentile": 0.5, "vwap_distance": 0.0, "swing_high_distance": 0.0, "swing_low_distance": 0.0,
    "support_distance": 0.0, "resistance_distance": 0.0, "btc_correlation": 1.0, "triangle_deviation": 0.0,
    "triangle_edge": 0.0, "regime_score": 0.0, "regime_trending_up": 0.0, "regime_trending_down": 0.0,
    "regime_ranging": 1.0, "regime_volatile": 0.0, "regime_quiet": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("price", [1e12, 60000.01, 1.1, 2e-8, 7e-12])
def test_a_market_that_never_moves_has_the_stated_values(price: float) -> None:
    row = newest(flat(price))
    assert {name: row[name] for name in STILL} == pytest.approx(STILL, abs=1e-12)


def test_a_market_that_stopped_moving_ends_at_the_stated_values() -> None:
    high, low, close, volume = arrays(market()[:300])
    stopped = [np.concatenate([column, np.full(700, close[-1])]) for column in (high, low, close)]
    row = newest(table(stopped[0], stopped[1], stopped[2], np.concatenate([volume, np.ones(700)])))
    assert {name: row[name] for name in STILL} == pytest.approx(STILL, abs=1e-9)


def test_without_volume_the_volume_features_have_the_stated_values() -> None:
    row = newest(market()[:300].with_columns(volume=pl.lit(0.0)))
    assert (row["volume_ratio"], row["chaikin"], row["obv_z"], row["mfi_14"]) == (1.0, 0.0, 0.0, 0.5)
    assert row["vwap_distance"] == 0.0
    assert all(np.isfinite(value) for value in row.values())


def test_every_feature_has_a_stated_value_where_nothing_moves() -> None:
    assert set(STILL) | {name for name in FEATURE_NAMES if name.endswith("_ratio") or "macd" in name} == set(
        FEATURE_NAMES
    )


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10_000), count=st.integers(0, 330), tick=st.sampled_from([0.0, 0.01, 1.0, 5.0]),
    still=st.sampled_from([0.0, 0.5, 1.0]), scale=st.sampled_from([1.0, 1e-8, 1e-12, 1e6, 1e12]),
)  # fmt: skip
def test_every_number_after_the_warm_up_is_finite(
    seed: int, count: int, tick: float, still: float, scale: float
) -> None:
    frame = candles(count, seed, tick, still).with_columns(pl.col(PRICES) * scale)
    features = feature_table(frame, H1)
    for feature in FEATURES:
        column = features[feature.name]
        assert column.null_count() == min(feature.warm_up_for(H1), count), feature.name
        assert column.drop_nulls().is_finite().all(), feature.name


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 400), still=st.sampled_from([0.0, 0.5]))
def test_rows_known_earlier_do_not_change_when_later_candles_arrive(
    seed: int, cut: int, still: float
) -> None:
    frame = candles(401, seed, 0.01, still)
    earlier, all_of_it = values(feature_table(frame[:cut], H1)), values(feature_table(frame, H1))[:cut]
    np.testing.assert_allclose(earlier, all_of_it, rtol=1e-12, atol=1e-12)


def test_on_recorded_candles_too_the_scale_of_prices_and_volumes_does_not_matter() -> None:
    frame = recorded("binance_XRP-BTC_1h_2017-2020", H1)[:4000]
    assert_scale_free(frame)


@pytest.mark.parametrize(("tick", "still"), [(0.0, 0.0), (0.01, 0.5), (1.0, 0.6)])
def test_features_do_not_depend_on_the_scale_of_prices_and_volumes(tick: float, still: float) -> None:
    assert_scale_free(candles(1200, 21, tick, still))


def assert_scale_free(frame: pl.DataFrame) -> None:
    tiny = frame.with_columns(pl.col(PRICES) * 1e-8, pl.col("volume") * 1e7)
    np.testing.assert_allclose(
        values(feature_table(tiny, H1)), values(feature_table(frame, H1)), rtol=1e-9, atol=1e-9
    )
