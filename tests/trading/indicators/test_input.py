"""A broken candle table is refused by its first open time; an odd one has stated, finite values."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from tests.trading.indicators.candle_walks import H1, PRICES, START, candles, flat, market, newest, values
from trading.errors import InvalidCandles
from trading.indicators import FEATURE_NAMES, FEATURES, feature_table, live_row
from trading.market import Timeframe


def test_an_empty_table_gives_an_empty_table_with_the_same_columns() -> None:
    features = feature_table(market().clear(), H1)
    assert features.schema == feature_table(market(), H1).schema
    assert features.height == 0


def test_unsorted_candles_are_refused_by_open_time() -> None:
    swapped = pl.concat([market()[:3], market()[5:6], market()[4:5]])
    with pytest.raises(InvalidCandles, match="2024-01-01 04:00"):
        feature_table(swapped, H1)


def test_a_repeated_candle_is_refused_by_open_time() -> None:
    with pytest.raises(InvalidCandles, match=r"2024-01-01 02:00.*drop repeats"):
        feature_table(pl.concat([market()[:3], market()[2:3]]), H1)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), None])
@pytest.mark.parametrize("name", ["high", "low", "close", "volume"])
def test_an_impossible_number_is_refused_by_open_time(name: str, wrong: float | None) -> None:
    broken = market()[:9].with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(wrong)).otherwise(pl.col(name)).alias(name)
    )
    if name == "volume" and wrong == 0.0:
        assert feature_table(broken, H1).height == 9
    else:
        with pytest.raises(InvalidCandles, match="2024-01-01 07:00"):
            feature_table(broken, H1)


def test_prices_that_contradict_each_other_are_refused_by_open_time() -> None:
    crossed = market()[:9].with_columns(
        low=pl.when(pl.int_range(pl.len()) == 5).then(pl.col("high") * 2).otherwise(pl.col("low"))
    )
    with pytest.raises(InvalidCandles, match=r"2024-01-01 05:00.*contradict each other"):
        feature_table(crossed, H1)


def test_candles_of_another_timeframe_are_refused_by_open_time() -> None:
    with pytest.raises(InvalidCandles, match=r"2024-01-01 00:00.*is no 1m candle"):
        feature_table(market()[:9], Timeframe.M1)


@pytest.mark.parametrize("name", ["open_time", "close_time"])
def test_a_candle_without_a_time_is_refused(name: str) -> None:
    nameless = market()[:9].with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.col(name)).alias(name)
    )
    with pytest.raises(InvalidCandles, match=f"1 of 9 candles have no {name}"):
        feature_table(nameless, H1)


@pytest.mark.parametrize("row", [0, 5, 299])
def test_the_live_row_refuses_what_the_table_refuses(row: int) -> None:
    frame = pl.concat([market()[:300], market()[row : row + 1]])
    with pytest.raises(InvalidCandles, match="does not come after the one before"):
        live_row(frame, H1)


def test_one_candle_gives_one_row_without_a_number_that_takes_more() -> None:
    features = feature_table(market()[:1], H1)
    known = {name for name in FEATURE_NAMES if features[name][0] is not None}
    assert features.height == 1
    assert known == {feature.name for feature in FEATURES if feature.warm_up_for(H1) == 0}


@pytest.mark.parametrize("count", [2, 3, 14, 15, 29, 50, 101, 200, 224])
def test_few_candles_give_nulls_inside_the_warm_up_and_numbers_after_it(count: int) -> None:
    features = feature_table(market()[:count], H1)
    for feature in FEATURES:
        column = features[feature.name]
        assert column.null_count() == min(feature.warm_up_for(H1), count), feature.name
        assert column.drop_nulls().is_finite().all(), feature.name


@pytest.mark.parametrize("price", [2e-8, 1e-12, 1.0, 1e12, 1e20])
def test_prices_however_tiny_or_huge_give_the_same_features(price: float) -> None:
    frame = candles(600, 17).with_columns(pl.col(PRICES) * (price / 100))
    np.testing.assert_allclose(
        values(feature_table(frame, H1)), values(feature_table(candles(600, 17), H1)), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("price", [1e-31, 1e31])
def test_a_price_that_no_market_has_is_refused(price: float) -> None:
    with pytest.raises(InvalidCandles, match="neither beyond"):
        feature_table(flat(price, 3), H1)


def test_a_price_that_falls_to_nothing_and_back_leaves_every_number_finite() -> None:
    frame = market()[:600].with_columns(
        low=pl.when(pl.int_range(pl.len()) == 400).then(pl.lit(2e-10)).otherwise(pl.col("low"))
    )
    features = feature_table(frame, H1)
    for feature in FEATURES:
        assert features[feature.name][feature.warm_up_for(H1) :].is_finite().all(), feature.name


def test_volume_that_is_zero_throughout_and_a_price_that_never_moves_are_finite_together() -> None:
    assert all(np.isfinite(value) for value in newest(flat(3.5, volume=0.0)).values())


def test_a_gap_is_no_fault() -> None:
    late = market()[:9].with_columns(pl.col("open_time", "close_time", "known_at") + timedelta(days=3))
    features = feature_table(pl.concat([market()[:9], late]), H1)
    assert features["open_time"][9] == START + timedelta(days=3)
