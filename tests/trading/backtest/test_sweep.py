from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
import talib

from tests.trading.backtest.backtest_markets import (
    HOUR,
    market,
    random_case,
    random_plan,
    random_rules,
    rules,
    steady,
)
from trading.backtest import CrossPlans, Plan, ema_crosses, run, sweep
from trading.errors import InvalidValue

PAIRS = [(fast, slow) for fast in (2, 5, 9) for slow in (12, 21, 55)]


@pytest.mark.parametrize("threads", [1, 3])
def test_each_row_of_a_sweep_is_its_own_run_to_the_bit(threads: int) -> None:
    for seed in range(20):
        case, random = random_case(seed), np.random.default_rng(seed)
        plans = [random_plan(random, len(case.bars)) for _ in range(9)]
        each = [random_rules(random) for _ in plans]
        found = sweep(case.bars, plans, each, 1000.0, case.path, threads)
        alone = [run(case.bars, *pair, 1000.0, case.path) for pair in zip(plans, each, strict=True)]
        assert found.totals.to_dicts() == [asdict(one.totals) for one in alone]
        assert found.daily_equity.tolist() == [one.daily_equity.tolist() for one in alone]
        assert found.days.len() == found.daily_equity.shape[1]


def test_one_set_of_rules_serves_all_plans() -> None:
    found = sweep(steady(3), [Plan(np.ones(3)), Plan(np.zeros(3))], rules())
    assert found.totals["fills"].to_list() == [1, 0]
    assert found.totals.schema["paused_at"] == pl.Datetime("us", "UTC")


def test_rules_for_other_plans_are_refused() -> None:
    with pytest.raises(InvalidValue, match="1 plans with 2 rules"):
        sweep(steady(3), [Plan(np.ones(3))], [rules(), rules()])


def test_a_sweep_over_nothing_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no plans"):
        sweep(steady(3), [], rules())


def test_a_bad_plan_stops_the_sweep_with_its_reason() -> None:
    with pytest.raises(InvalidValue, match="for 2 candles, there are 3"):
        sweep(steady(3), [Plan(np.ones(3)), Plan(np.ones(2))], rules())


def test_crossings_are_those_of_the_library_averages() -> None:
    for seed in range(30):
        close = market(np.random.default_rng(seed), 300, HOUR)[0].close
        for fast, slow in PAIRS:
            above = talib.EMA(close, fast) > talib.EMA(close, slow)
            changed = np.append(False, above[1:] != above[:-1]) & (np.arange(close.size) >= slow)
            expected = np.where(changed, above * 1.0, np.nan)
            assert np.array_equal(ema_crosses(close, fast, slow).dense(), expected, equal_nan=True)


def test_four_pairs_at_once_cross_where_each_crosses_alone() -> None:
    for seed, count in ((0, 300), (1, 56), (2, 30), (3, 13), (4, 3)):
        close = market(np.random.default_rng(seed), count, HOUR)[0].close
        for pair, plan in zip(PAIRS, CrossPlans(close, PAIRS), strict=True):
            alone = ema_crosses(close, *pair)
            assert np.array_equal(plan.target.dense(), alone.dense(), equal_nan=True)  # type: ignore[union-attr]


def test_crossings_never_look_ahead() -> None:
    close = market(np.random.default_rng(8), 300, HOUR, missing=0.0)[0].close
    whole = ema_crosses(close, 5, 12).dense()
    for cut in (1, 11, 12, 13, 100, 299):
        assert np.array_equal(ema_crosses(close[:cut], 5, 12).dense(), whole[:cut], equal_nan=True)


def test_a_constant_price_never_crosses() -> None:
    for price in (2e-8, 0.1, 3.0, 1e9):
        assert (
            ema_crosses(np.full(500, price), 9, 21).row.size <= 1
        )  # TA-Lib's seed may differ in the last bit
        assert (
            run(steady(500, price), Plan(ema_crosses(np.full(500, price), 8, 16)), rules()).totals.fills == 0
        )


@pytest.mark.parametrize(("fast", "slow"), [(1, 5), (5, 5), (9, 5)])
def test_averages_that_cannot_cross_are_refused(fast: int, slow: int) -> None:
    with pytest.raises(InvalidValue, match="2 <= fast < slow"):
        ema_crosses(np.ones(50), fast, slow)
    with pytest.raises(InvalidValue, match="2 <= fast < slow"):
        CrossPlans(np.ones(50), [(fast, slow)])


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_hole_in_the_closes_is_refused(hole: float) -> None:
    with pytest.raises(InvalidValue, match="finite"):
        ema_crosses(np.append(np.ones(50), hole), 5, 9)


def test_a_grid_of_crossings_sweeps_like_single_runs() -> None:
    candles = market(np.random.default_rng(1), 400, HOUR, missing=0.0)[0]
    plans = CrossPlans(candles.close, PAIRS, stop=0.02)
    found = sweep(candles, plans, rules()).totals.to_dicts()
    singles = [Plan(ema_crosses(candles.close, *pair), stop=0.02) for pair in PAIRS]
    assert found == [asdict(run(candles, plan, rules()).totals) for plan in singles]
    assert [plan.stop for plan in plans[2:4]] == [0.02, 0.02]
    assert replace(plans[-1], stop=0.1).candles == 400
