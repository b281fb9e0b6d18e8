from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidCandles, NotStored
from trading.indicators import FEATURE_NAMES, FEATURES, LOOKBACK, Feature, feature_table, live_row
from trading.market import CANDLE_SCHEMA

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REAL = Path(__file__).parents[2] / "../shared/data/ohlcv/binance_XRP-BTC_1h_2017-2020.parquet"
PRICES = ("open", "high", "low", "close")
Array = npt.NDArray[np.float64]


def table(high: Array, low: Array, close: Array, volume: Array) -> pl.DataFrame:
    opens = [START + i * HOUR for i in range(len(close))]
    closes = [time + HOUR for time in opens]
    first = np.concatenate([close[:1], close[:-1]])
    columns = (opens, closes, first, high, low, close, volume, ["simulated"] * len(close), closes)
    return pl.DataFrame(dict(zip(CANDLE_SCHEMA, columns, strict=True)), schema=CANDLE_SCHEMA)


def candles(count: int, seed: int = 0, tick: float = 0.0, still: float = 0.0) -> pl.DataFrame:
    """A random walk near 100, on a price grid when `tick` is given, resting in a share of `still` candles."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 0.005, count) * (np.repeat(rng.random(count // 20 + 1), 20)[:count] >= still)
    close = 100 * np.exp(moves.cumsum())
    spread = np.abs(rng.normal(0, 0.003, (2, count))) * (moves != 0)
    before = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(before, close) * (1 + spread[0])
    low = np.minimum(before, close) * (1 - spread[1])
    volume = rng.exponential(50, count) * (moves != 0)
    if tick:
        high, low, close = (np.round(prices / tick) * tick for prices in (high, low, close))
    return table(high, low, close, volume)


def real() -> pl.DataFrame:
    if not REAL.exists():
        pytest.skip("no recorded candles here")
    time = pl.col("timestamp").dt.cast_time_unit("us")
    return (
        pl.read_parquet(REAL)
        .unique("timestamp")
        .sort("timestamp")
        .with_columns(open_time=time, close_time=time + HOUR, known_at=time + HOUR, origin=pl.lit("binance"))
        .select(pl.col(name).cast(kind) for name, kind in CANDLE_SCHEMA.items())
    )


def flat(price: float, count: int = 400, volume: float = 1.0) -> pl.DataFrame:
    same = np.full(count, price)
    return table(same, same, same, np.full(count, volume))


def values(features: pl.DataFrame) -> Array:
    """Feature columns as numbers; NaN stands for null."""
    return features.select(FEATURE_NAMES).to_numpy()


def arrays(frame: pl.DataFrame) -> tuple[Array, Array, Array, Array]:
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    return high, low, close, volume


def newest(frame: pl.DataFrame) -> dict[str, float]:
    return dict(feature_table(frame).select(FEATURE_NAMES).row(-1, named=True))


@cache
def market() -> pl.DataFrame:
    return candles(1600, seed=1)


def test_there_are_at_least_eighteen_features_with_names_of_their_own() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURES) >= 18
    assert all(feature.formula and feature.unit for feature in FEATURES)


def test_the_table_has_one_row_per_candle_and_one_float_column_per_feature() -> None:
    features = feature_table(market())
    assert features.columns == ["open_time", "close_time", "known_at", *FEATURE_NAMES]
    assert features["open_time"].equals(market()["open_time"])
    assert set(features.select(FEATURE_NAMES).dtypes) == {pl.Float64()}


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURE_NAMES)
def test_a_feature_is_null_exactly_inside_its_warm_up(feature: Feature) -> None:
    column = feature_table(market())[feature.name]
    assert column.is_null().to_list() == [row < feature.warm_up for row in range(column.len())]


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURE_NAMES)
def test_a_warm_up_ends_with_the_first_row_whose_window_is_full(feature: Feature) -> None:
    """That row's window reaches back to the very first candle: change it and the row changes."""
    factors = {"high": 2.0, "low": 1.5, "close": 1.6, "volume": 3.0}
    other = market()[:300].with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in factors.items()
    )
    before, after = (feature_table(frame)[feature.name][feature.warm_up] for frame in (market()[:300], other))
    assert before != after


def test_an_empty_table_gives_an_empty_table_with_the_same_columns() -> None:
    features = feature_table(market().clear())
    assert features.schema == feature_table(market()).schema
    assert features.height == 0


def test_unsorted_candles_are_refused_by_open_time() -> None:
    swapped = pl.concat([market()[:3], market()[5:6], market()[4:5]])
    with pytest.raises(InvalidCandles, match="2024-01-01 04:00"):
        feature_table(swapped)


def test_a_repeated_candle_is_refused_by_open_time() -> None:
    with pytest.raises(InvalidCandles, match=r"2024-01-01 02:00.*drop repeats"):
        feature_table(pl.concat([market()[:3], market()[2:3]]))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), None])
@pytest.mark.parametrize("name", ["high", "low", "close", "volume"])
def test_an_impossible_number_is_refused_by_open_time(name: str, wrong: float | None) -> None:
    broken = market()[:9].with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(wrong)).otherwise(pl.col(name)).alias(name)
    )
    if name == "volume" and wrong == 0.0:
        assert feature_table(broken).height == 9
    else:
        with pytest.raises(InvalidCandles, match="2024-01-01 07:00"):
            feature_table(broken)


def test_a_row_is_known_once_the_last_of_its_candles_is() -> None:
    late = START + timedelta(days=3)
    frame = market()[:6].with_columns(
        known_at=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(late)).otherwise(pl.col("known_at"))
    )
    known = feature_table(frame)["known_at"].to_list()
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
    "squeeze_ratio": lambda high, low, close, volume: (
        2 * talib.STDDEV(close, 20) / (1.5 * talib.ATR(high, low, close, 20))
    ),
    "volume_ratio": lambda high, low, close, volume: volume / talib.SMA(volume, 20),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_on_an_ordinary_market_the_feature_is_the_reference_library_s(name: str) -> None:
    expected = REFERENCES[name](*arrays(market()))[600:]
    assert feature_table(market())[name].to_numpy()[600:] == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_squeeze_lowest_is_the_lowest_ratio_of_ten_candles() -> None:
    features = feature_table(market())
    assert features["squeeze_lowest"][-1] == features["squeeze_ratio"][-10:].min()


def test_bounded_features_stay_in_their_bounds() -> None:
    features = feature_table(candles(800, seed=5, tick=0.5, still=0.5))
    for feature in FEATURES:
        column = features[feature.name].drop_nulls()
        if feature.unit == "0..1" and feature.name != "bollinger_percent_b":
            assert column.is_between(-1e-12, 1 + 1e-12).all(), feature.name
    assert features["williams_r"].drop_nulls().is_between(-1, 0).all()


STILL = {
    "adx_14": 0.0,
    "plus_di_14": 0.0,
    "minus_di_14": 0.0,
    "rsi_14": 0.5,
    "stochastic_k": 0.5,
    "stochastic_d": 0.5,
    "cci_20": 0.0,
    "williams_r": -0.5,
    "mfi_14": 0.5,
    "atr_14_share": 0.0,
    "bollinger_width": 0.0,
    "bollinger_percent_b": 0.5,
    "keltner_position": 0.0,
    "squeeze_ratio": 1.0,
    "squeeze_lowest": 1.0,
    "realised_volatility": 0.0,
    "parkinson": 0.0,
    "obv_z": 0.0,
    "chaikin": 0.0,
    "log_return": 0.0,
    "roc_10": 0.0,
}


@pytest.mark.parametrize("price", [60000.01, 1.1, 2e-8, 7e-12])
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


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 330),
    tick=st.sampled_from([0.0, 0.01, 1.0, 5.0]),
    still=st.sampled_from([0.0, 0.5, 1.0]),
    scale=st.sampled_from([1.0, 1e-8, 1e-12, 1e6]),
)
def test_every_number_after_the_warm_up_is_finite(
    seed: int, count: int, tick: float, still: float, scale: float
) -> None:
    frame = candles(count, seed, tick, still).with_columns(pl.col(PRICES) * scale)
    features = feature_table(frame)
    for feature in FEATURES:
        column = features[feature.name]
        assert column.null_count() == min(feature.warm_up, count), feature.name
        assert column.drop_nulls().is_finite().all(), feature.name


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 400), still=st.sampled_from([0.0, 0.5]))
def test_rows_known_earlier_do_not_change_when_later_candles_arrive(
    seed: int, cut: int, still: float
) -> None:
    frame = candles(401, seed, 0.01, still)
    earlier, all_of_it = values(feature_table(frame[:cut])), values(feature_table(frame))[:cut]
    np.testing.assert_allclose(earlier, all_of_it, rtol=1e-12, atol=1e-12)


def assert_same_newest_row(frame: pl.DataFrame, features: pl.DataFrame, end: int) -> None:
    """To 1e-9 of the value, or of the feature's spread where the value is near zero."""
    whole = values(features)
    window = values(feature_table(frame[end - LOOKBACK - 1 : end]))[-1]
    allowed = 1e-9 * np.maximum(np.abs(whole[end - 1]), np.nanstd(whole, axis=0))
    assert (np.abs(window - whole[end - 1]) <= allowed).all(), dict(zip(FEATURE_NAMES, window, strict=True))


@pytest.mark.parametrize(("tick", "still"), [(0.0, 0.0), (0.01, 0.0), (1.0, 0.6)])
def test_a_window_of_the_look_back_gives_the_same_newest_row_as_all_history(
    tick: float, still: float
) -> None:
    frame = candles(3000, 11, tick, still)
    features = feature_table(frame)
    for end in range(LOOKBACK + 1, 3001, 333):
        assert_same_newest_row(frame, features, end)


def test_a_single_absurd_candle_leaves_no_trace_beyond_the_look_back() -> None:
    frame = candles(1500, 12)
    spiked = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 300).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in (("low", 1e-3), ("close", 0.5), ("volume", 1e9))
    )
    assert_same_newest_row(spiked, feature_table(spiked), 1500)


def test_on_recorded_candles_too_the_look_back_is_long_enough() -> None:
    frame = real()
    features = feature_table(frame)
    for end in range(LOOKBACK + 1, frame.height, 1700):
        assert_same_newest_row(frame, features, end)


def test_on_recorded_candles_too_the_scale_of_prices_and_volumes_does_not_matter() -> None:
    frame = real()[:4000]
    assert_scale_free(frame)


@pytest.mark.parametrize(("tick", "still"), [(0.0, 0.0), (0.01, 0.5), (1.0, 0.6)])
def test_features_do_not_depend_on_the_scale_of_prices_and_volumes(tick: float, still: float) -> None:
    assert_scale_free(candles(1200, 21, tick, still))


def assert_scale_free(frame: pl.DataFrame) -> None:
    tiny = frame.with_columns(pl.col(PRICES) * 1e-8, pl.col("volume") * 1e7)
    np.testing.assert_allclose(
        values(feature_table(tiny)), values(feature_table(frame)), rtol=1e-9, atol=1e-9
    )


def test_the_live_row_is_the_table_s_newest_row_as_plain_floats() -> None:
    row = live_row(market())
    assert row == newest(market()[-LOOKBACK - 1 :])
    assert {type(value) for value in row.values()} == {float}


@pytest.mark.parametrize("count", [0, 1, 199])
def test_the_live_row_names_the_feature_that_still_warms_up(count: int) -> None:
    with pytest.raises(NotStored, match=f"sma_200_ratio needs 200 candles and there are {count}"):
        live_row(market()[:count])


def test_the_live_row_is_there_as_soon_as_every_feature_is() -> None:
    assert live_row(market()[:200]) == newest(market()[:200])
