"""Swings, levels, the parabolic SAR and ranks against plain loops that say what they mean."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import talib

from tests.trading.indicators.candle_walks import (
    H1,
    M1,
    START,
    Array,
    arrays,
    candles,
    holed,
    market,
    recorded,
    table,
)
from trading.indicators import feature_table
from trading.indicators.patterns import MEMORY, WING
from trading.indicators.trend import SAR_BLOCK
from trading.market import Timeframe


def swings(prices: Array, sign: int) -> list[float]:
    """Confirmed within these candles, oldest first."""
    signed = sign * prices
    return [
        float(prices[row])
        for row in range(WING, len(prices) - WING)
        if signed[row] >= signed[row - WING : row].max()
        and signed[row] > signed[row + 1 : row + 1 + WING].max()
    ]


@pytest.mark.parametrize(("seed", "tick"), [(41, 0.0), (42, 0.5), (43, 2.0)])
def test_swings_and_levels_are_those_of_a_plain_search(seed: int, tick: float) -> None:
    frame = candles(700, seed, tick, still=0.2)
    high, low, close, _ = arrays(frame)
    features = feature_table(frame, H1)
    for row in range(MEMORY - 1, frame.height, 7):
        window = slice(row + 1 - MEMORY, row + 1)
        highs, lows, price = swings(high[window], 1), swings(low[window], -1), close[row]
        above = [level for level in highs + lows if level >= price]
        below = [level for level in highs + lows if level <= price]
        expected = {
            "swing_high_distance": (highs[-1] if highs else high[window].max()) / price - 1,
            "swing_low_distance": 1 - (lows[-1] if lows else low[window].min()) / price,
            "resistance_distance": (min(above) if above else high[window].max()) / price - 1,
            "support_distance": 1 - (max(below) if below else low[window].min()) / price,
        }
        for name, value in expected.items():
            assert features[name][row] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, row)


def test_a_swing_high_is_known_five_candles_after_it_and_not_before() -> None:
    close = np.full(300, 100.0)
    close[250] = 120.0
    features = feature_table(table(close, close, close, np.ones(300)), H1)
    distance = features["swing_high_distance"].to_numpy()
    assert distance[250 + WING] == pytest.approx(0.2)
    flat_top = features["resistance_distance"].to_numpy()
    assert flat_top[249] == 0.0
    assert distance[249] == 0.0


def test_in_a_market_that_only_falls_the_highest_high_stands_in_for_a_swing() -> None:
    close = np.linspace(200, 100, 300)
    row = feature_table(table(close + 0.1, close - 0.1, close, np.ones(300)), H1).row(-1, named=True)
    assert row["swing_high_distance"] == pytest.approx((close[-200] + 0.1) / close[-1] - 1)
    assert row["support_distance"] == pytest.approx(0.1 / close[-1])


def test_parabolic_sar_is_talib_s_from_the_block_before_on() -> None:
    frame = holed(candles(1500, 44, start=START + timedelta(hours=37)), 44)
    high, low, close, _ = arrays(frame)
    blocks = (frame["open_time"].dt.epoch("s") // (SAR_BLOCK * 3600)).to_numpy()
    found = feature_table(frame, H1)["sar_distance"].to_numpy()
    for row in range(2 * SAR_BLOCK - 1, frame.height, 13):
        existing = np.unique(blocks[: row + 1])
        first = int(np.flatnonzero(blocks == existing[-2])[0])
        stop = talib.SAR(high[first : row + 1], low[first : row + 1])[-1]
        assert found[row] == pytest.approx(1 - stop / close[row], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "timeframe", "share"),
    [("binance_BTC-USDT_1m_2021", M1, 0.99), ("kraken_BTC-USD_1h_2013-2019", H1, 0.95)],
)
def test_on_recorded_candles_the_bounded_sar_is_nearly_always_that_of_all_history(
    name: str, timeframe: Timeframe, share: float
) -> None:
    frame = recorded(name, timeframe)[:20_000]
    high, low, close, _ = arrays(frame)
    unbounded = 1 - talib.SAR(high, low) / close
    same = np.isclose(feature_table(frame, timeframe)["sar_distance"].to_numpy(), unbounded, 1e-9, 1e-12)
    assert same[200:].mean() > share


def test_a_release_follows_a_squeeze_and_points_where_the_price_went() -> None:
    features = feature_table(market(), H1).drop_nulls("squeeze_release")
    ratio, lowest = features["squeeze_ratio"].to_numpy(), features["squeeze_lowest"].to_numpy()
    side = np.sign(features["bollinger_percent_b"].to_numpy() - 0.5)
    expected = np.where((ratio >= 1) & (lowest < 1), side * (ratio - lowest), 0.0)
    np.testing.assert_allclose(features["squeeze_release"], expected, rtol=1e-12)
    assert {-1.0, 0.0, 1.0} == set(np.sign(expected))


def test_the_percentile_of_volatility_is_its_mid_rank_among_two_hundred() -> None:
    features = feature_table(candles(900, 45, still=0.4), H1)
    realised = features["realised_volatility"].to_numpy()
    for row in range(223, 900, 7):
        window = realised[row - 199 : row]
        below, above = (
            (window < realised[row] * (1 - 1e-9)).sum(),
            (window > realised[row] * (1 + 1e-9)).sum(),
        )
        expected = (below + (199 - below - above) / 2) / 199
        assert features["volatility_percentile"][row] == pytest.approx(expected, abs=1e-12)


def test_the_calmest_and_the_wildest_candle_of_two_hundred_have_percentile_zero_and_one() -> None:
    rng = np.random.default_rng(46)
    for growth, percentile in ((1.02, 1.0), (1 / 1.02, 0.0)):
        close = 100 * np.exp(
            (0.001 * growth ** np.arange(300) / growth**150 * rng.choice([-1, 1], 300)).cumsum()
        )
        frame = table(close, close, close, np.ones(300))
        assert feature_table(frame, H1)["volatility_percentile"][-1] == percentile


def test_slope_is_the_least_squares_line_and_exactly_zero_where_nothing_moves() -> None:
    close = arrays(market())[2]
    fitted = np.polyfit(np.arange(14), close[-14:], 1)[0] / close[-1]
    assert feature_table(market(), H1)["slope_14"][-1] == pytest.approx(fitted, rel=1e-9)
    same = np.full(40, 1.1)
    assert feature_table(table(same, same, same, same), H1)["slope_14"][13:].unique().to_list() == [0.0]


def test_no_average_of_a_window_remembers_a_giant_that_has_left_it() -> None:
    """The table of the candles after the giant is, to the last digit but rounding, the table that had seen it."""
    frame = candles(700, 47)
    giant = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 100).then(pl.col(name) * 1e12).otherwise(pl.col(name)).alias(name)
        for name in ("high", "close", "volume")
    )
    windows = ("sma_200_ratio", "slope_14", "cci_20", "bollinger_width", "obv_z", "mfi_14", "volume_ratio")
    seen, unseen = feature_table(giant, H1)[-300:], feature_table(frame[101:], H1)[-300:]
    for name in windows:
        np.testing.assert_allclose(seen[name], unseen[name], rtol=1e-12, atol=1e-12, err_msg=name)
