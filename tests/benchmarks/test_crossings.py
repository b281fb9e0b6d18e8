"""The crossings that benchmarks trade, against TA-Lib's averages."""

from dataclasses import asdict

import numpy as np
import pytest
import talib

from benchmarks.crossings import CrossingPlans, ema_crossings, signals
from tests.trading.backtest.backtest_markets import HOUR, market, rules, steady
from trading.backtest import Plan, run, sweep

PAIRS = [(fast, slow) for fast in (2, 5, 9) for slow in (12, 21, 55)]


def test_crossings_are_those_of_the_library_averages() -> None:
    for seed in range(30):
        close = market(np.random.default_rng(seed), 300, HOUR)[0].close
        for fast, slow in PAIRS:
            above = talib.EMA(close, fast) > talib.EMA(close, slow)
            changed = np.append(False, above[1:] != above[:-1]) & (np.arange(close.size) >= slow)
            expected = np.where(changed, above * 1.0, np.nan)
            crossings = ema_crossings(close, fast, slow)
            assert np.array_equal(crossings.dense(), expected, equal_nan=True)
            entries, exits = signals(crossings)
            assert np.array_equal(entries, expected == 1.0)
            assert np.array_equal(exits, expected == 0.0)


@pytest.mark.parametrize("count", [3, 12, 13])
def test_fewer_candles_than_the_slow_average_needs_never_cross(count: int) -> None:
    assert ema_crossings(np.linspace(2.0, 1.0, count), 5, 12).row.size == 0


def test_crossings_never_look_ahead() -> None:
    close = market(np.random.default_rng(8), 300, HOUR, missing=0.0)[0].close
    whole = ema_crossings(close, 5, 12).dense()
    for cut in (1, 11, 12, 13, 100, 299):
        assert np.array_equal(ema_crossings(close[:cut], 5, 12).dense(), whole[:cut], equal_nan=True)


def test_a_constant_price_never_crosses() -> None:
    for price in (2e-8, 0.1, 3.0, 1e9):
        # TA-Lib's seed may differ in the last bit
        assert ema_crossings(np.full(500, price), 9, 21).row.size <= 1
        plan = Plan(ema_crossings(np.full(500, price), 8, 16))
        assert run(steady(500, price), plan, rules()).totals.fills == 0


def test_a_grid_of_crossings_sweeps_like_single_runs() -> None:
    candles = market(np.random.default_rng(1), 400, HOUR, missing=0.0)[0]
    plans = CrossingPlans(candles.close, PAIRS, stop=0.02)
    found = sweep(candles, plans, rules()).totals.to_dicts()
    singles = [Plan(ema_crossings(candles.close, *pair), stop=0.02) for pair in PAIRS]
    assert found == [asdict(run(candles, plan, rules()).totals) for plan in singles]
    assert [plan.stop for plan in plans[2:4]] == [0.02, 0.02]
