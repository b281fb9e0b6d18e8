"""The stated warm-up is neither too short nor too long: its last row reaches back to the very first candle."""

import math
from collections.abc import Iterator
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
import talib

from tests.trading.indicators.candle_walks import H1, START, Array, candles, table
from trading.indicators import FEATURE_NAMES, FEATURES, Feature, feature_table
from trading.market import Timeframe

COUNT = 300
LARGER = {"high": 2.0, "low": 1.5, "close": 1.6, "volume": 3.0}
SMALLER = {"high": 1.1, "low": 0.4, "close": 0.6, "volume": 0.1}


def changed(frame: pl.DataFrame, factors: dict[str, float]) -> pl.DataFrame:
    """With another first candle."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in factors.items()
    )


def markets() -> Iterator[pl.DataFrame]:
    """However the first candle lies in its day and its block of 100, in markets of every kind."""
    for hour in range(24):
        for seed in range(4):
            yield candles(COUNT, seed, start=START + timedelta(hours=hour))
    for hour in range(100):
        yield shelf(hour)
    for slope in (-0.001, 0.001):
        close = 100 * np.exp(slope * np.arange(COUNT))
        yield table(close * 1.0001, close * 0.9999, close, np.ones(COUNT))


def shelf(hour: int) -> pl.DataFrame:
    """A jump, after which the price rests just below its peak: there the SAR rises for hundreds of candles."""
    close = np.full(COUNT, 199.0)
    high, low = np.full(COUNT, 199.5), np.full(COUNT, 198.5)
    close[0], high[0], low[0], high[1] = 60.0, 61.0, 50.0, 200.0
    return table(high, low, close, np.ones(COUNT), start=START + timedelta(hours=hour))


@cache
def reached() -> frozenset[str]:
    """Features whose last warm-up row depends on the first candle in some of the markets."""
    found: set[str] = set()
    for frame in markets():
        before = edges(frame)
        for factors in (LARGER, SMALLER):
            after = edges(changed(frame, factors))
            found |= {
                name for name, one, other in zip(FEATURE_NAMES, before, after, strict=True) if one != other
            }
    return frozenset(found)


def edges(frame: pl.DataFrame) -> Array:
    """Return the first value of each feature that is not null."""
    features = feature_table(frame, H1)
    return np.array([features[feature.name][feature.warm_up_for(H1)] for feature in FEATURES])


# These remember all of history, ever less of it; what they read is what regimes read.
REMEMBERING = {
    "adx_14", "plus_di_14", "minus_di_14", "rsi_14", "trix_15", "atr_14_share", "keltner_position", "chaikin",
}  # fmt: skip


def remembers(name: str) -> bool:
    return name in REMEMBERING or name.startswith(("ema_", "macd_", "squeeze_", "regime_"))


# With no other pair to compare with, these are constants.
COMPARED = {"btc_correlation", "triangle_deviation", "triangle_edge"}


@pytest.mark.parametrize(
    "feature", [each for each in FEATURES if not remembers(each.name)], ids=lambda each: each.name
)
def test_a_warm_up_ends_with_the_first_row_whose_window_is_full(feature: Feature) -> None:
    """That row's window reaches back to the very first candle: change it and the row changes."""
    assert (feature.name in reached()) is (feature.name not in COMPARED)


@cache
def leaking() -> frozenset[str]:
    """Features of which the first row after the warm-up depends on candles before it in some of the markets."""
    found: set[str] = set()
    for number, frame in enumerate(markets()):
        start = frame["open_time"][0]
        before = candles(230, 1000 + number, start=start - timedelta(hours=230))
        alone = feature_table(frame, H1)
        continued = feature_table(pl.concat([before, frame]), H1)[before.height :]
        for feature in FEATURES:
            row = feature.warm_up_for(H1)
            one, other = alone[feature.name][row], continued[feature.name][row]
            if not math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12):
                found.add(feature.name)
    return frozenset(found)


@pytest.mark.parametrize(
    "name", [name for name in FEATURE_NAMES if not remembers(name) and name not in COMPARED]
)
def test_no_window_reaches_further_back_than_its_warm_up(name: str) -> None:
    assert name not in leaking()


@cache
def start_shares() -> dict[str, float]:
    """Return by how much of its spread another start of history moves each feature after its warm-up, at most."""
    whole = candles(2400, 60)
    standard, worst = feature_table(whole, H1), dict.fromkeys(FEATURE_NAMES, 0.0)
    for start in range(100, 1900, 200):
        alone = feature_table(whole[start:], H1)
        for feature in FEATURES:
            value, other = (
                table[feature.name].to_numpy()[feature.warm_up_for(H1) + skipped :]
                for table, skipped in ((alone, 0), (standard, start))
            )
            spread = float(np.std(other)) or 1.0
            worst[feature.name] = max(worst[feature.name], float(np.abs(value - other).max()) / spread)
    return worst


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_after_its_stated_warm_up_a_feature_is_what_a_longer_history_makes_it(name: str) -> None:
    """Within a hundredth of its spread; the other tests name what they exempt, this one exempts nothing."""
    assert start_shares()[name] < 0.01


def test_chaikin_is_the_textbooks_from_its_first_row_on() -> None:
    frame = candles(120, 61)
    columns = [frame[name].to_numpy() for name in ("high", "low", "close", "volume")]
    textbook = talib.ADOSC(*columns, 3, 10) / talib.SMA(columns[3], 20)
    first = next(feature for feature in FEATURES if feature.name == "chaikin").warm_up_for(H1)
    assert np.allclose(feature_table(frame, H1)["chaikin"][first:], textbook[first:], rtol=1e-9)


@pytest.mark.parametrize("timeframe", [Timeframe.M15, Timeframe.M30, Timeframe.H4, Timeframe.D1])
def test_warm_ups_hold_on_other_timeframes_wherever_in_its_day_a_history_starts(timeframe: Timeframe) -> None:
    for offset in (0, 1, 5):
        frame = candles(1300, 3, timeframe=timeframe, start=START + offset * timeframe.duration)
        features = feature_table(frame, timeframe)
        for feature in FEATURES:
            assert features[feature.name].null_count() == feature.warm_up_for(timeframe), feature.name
