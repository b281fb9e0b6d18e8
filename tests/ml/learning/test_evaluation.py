import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.learning.evaluation import Evaluation, decide_exposures, evaluate
from ml.learning.policy import load_bundle
from tests.ml.learning.folds_of_candles import COSTS, NAMES, bundle, policy, table
from trading.backtest import run_exposures
from trading.errors import InvalidValue
from trading.fills import Costs

TEST_MONTH = pl.col("open_time").dt.date() >= date(2021, 3, 1)


def test_only_the_test_month_counts(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    whole = evaluate(loaded, table(), table(), COSTS)
    alone = evaluate(loaded, table().filter(TEST_MONTH), table().filter(TEST_MONTH), COSTS)
    assert whole == alone
    assert whole.candles == 31 * 24
    assert whole.curves is not None
    assert whole.curves["close_time"][0] == table().filter(TEST_MONTH)["close_time"][0]


def test_the_batch_of_decisions_is_what_acting_candle_by_candle_decides(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    rows = table().filter(TEST_MONTH).select(NAMES).to_numpy()
    exposure, one_by_one = 0.0, []
    for row in rows:
        exposure = loaded.act(row, exposure).exposure
        one_by_one.append(exposure)
    exposures, undecided = decide_exposures(loaded, rows)
    assert (exposures.tolist(), undecided) == (one_by_one, 0)


def test_curves_and_numbers_are_those_of_the_back_test(tmp_path: Path) -> None:
    result = evaluate(policy(tmp_path), table(), table(), COSTS)
    month = table().filter(TEST_MONTH)
    assert result.curves is not None
    rerun = run_exposures(
        result.curves["exposure"].to_numpy(), month["open"].to_numpy(), month["close"].to_numpy(), COSTS
    )
    assert result.curves["policy"].to_numpy().tolist() == rerun.equity.tolist()
    assert result.policy.total_return == rerun.equity[-1] - 1
    assert (result.policy.trades, result.policy.turnover) == (rerun.trades, rerun.turnover)


def test_daily_returns_add_up_to_the_months_and_pair_policy_with_price(tmp_path: Path) -> None:
    result = evaluate(policy(tmp_path), table(), table(), COSTS)
    opens, closes = (table().filter(TEST_MONTH)[name].to_numpy() for name in ("open", "close"))
    assert result.daily.days == tuple(date(2021, 3, day) for day in range(1, 32))
    assert sum(result.daily.policy) == pytest.approx(np.log(1 + result.policy.total_return))
    assert sum(result.daily.market) == pytest.approx(np.log(closes[-1] / opens[1]))
    assert result.daily.market[0] == pytest.approx(np.log(opens[24] / opens[1]))
    assert result.curves is not None
    equity = result.curves["policy"].to_numpy()
    assert result.daily.policy[1] == pytest.approx(np.log(equity[47] / equity[23]))


def test_a_day_without_candles_is_part_of_the_next_days_return(tmp_path: Path) -> None:
    gap = table().filter(pl.col("open_time").dt.date() != date(2021, 3, 2))
    result = evaluate(policy(tmp_path), gap, gap, COSTS)
    whole = evaluate(policy(tmp_path), table(), table(), COSTS)
    assert result.daily.days == (date(2021, 3, 1), *(date(2021, 3, day) for day in range(3, 32)))
    assert sum(result.daily.market) == pytest.approx(sum(whole.daily.market))


def test_coverage_is_the_share_of_the_months_grid_that_was_decided_on(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    assert evaluate(loaded, table(), table(), COSTS).coverage == 1.0
    first = date(2021, 3, 4)  # three of 31 days are gone, and one more has no features
    late = table().filter(pl.col("open_time").dt.date() >= first)
    known = table().filter(pl.col("open_time").dt.date() > first)
    assert evaluate(loaded, known, late, COSTS).coverage == pytest.approx(27 / 31)


def test_holding_pays_its_entry_and_cash_earns_nothing(tmp_path: Path) -> None:
    result = evaluate(policy(tmp_path), table(), table(), COSTS)
    assert result.buy_and_hold.trades == 1
    entry = (1 + COSTS.half_spread + COSTS.slippage) * (1 + COSTS.taker_fee)
    opens, last = table()["open"], 1 + result.market_return
    bought = opens[1] / opens[0]  # a decision on the first close buys at the second open
    assert 1 + result.buy_and_hold.total_return == pytest.approx(last / bought / entry)
    assert (result.cash.total_return, result.cash.annualised_sharpe, result.cash.exposure) == (0.0, 0.0, 0.0)


def test_a_candle_with_an_unknown_feature_keeps_the_exposure_and_is_counted(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    rows = table().filter(TEST_MONTH).select(NAMES).to_numpy().copy()
    rows[5:9, 1] = np.nan
    exposures, undecided = decide_exposures(loaded, rows)
    assert undecided == 4
    assert (exposures[5:9] == exposures[4]).all()
    features = table().filter(pl.col("open_time") != table().filter(TEST_MONTH)["open_time"][7])
    assert evaluate(loaded, features, table(), COSTS).undecided == 1


def test_json_keeps_everything_but_the_curves(tmp_path: Path) -> None:
    result = evaluate(policy(tmp_path), table(), table(), COSTS)
    read = Evaluation.from_json(json.loads(json.dumps(result.as_json(), allow_nan=False)))
    assert read == result
    assert read.curves is None


def test_a_month_without_candles_or_features_is_an_error_not_a_zero_return(tmp_path: Path) -> None:
    loaded = load_bundle(bundle(tmp_path))
    with pytest.raises(InvalidValue, match="nothing to test on"):
        evaluate(loaded, table(), table().filter(~TEST_MONTH), COSTS)
    with pytest.raises(InvalidValue, match="nothing to test on"):
        evaluate(loaded, table().filter(~TEST_MONTH), table(), Costs(0.0, 0.0, 0.0))
    with pytest.raises(InvalidValue, match="lack noise"):
        evaluate(loaded, table().drop("noise"), table(), COSTS)
