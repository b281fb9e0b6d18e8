from dataclasses import asdict

import numpy as np
import polars as pl
import pytest

from tests.trading.backtest.backtest_markets import random_case, random_plan, random_rules, rules, steady
from trading.backtest import Plan, run, sweep
from trading.errors import InvalidValue


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
