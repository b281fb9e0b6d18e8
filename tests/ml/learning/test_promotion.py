import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from ml.learning.daily_returns import DailyReturns
from ml.learning.evaluation import Evaluation, Performance
from ml.learning.promotion import PromotionRules, PromotionVerdict, judge_promotion
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryPromotions
from tests.ml.learning.folds_of_candles import PAIR
from trading.errors import InvalidValue
from trading.market import month_start, next_month

RULES = PromotionRules(
    minimum_folds=3,
    minimum_coverage=0.5,
    minimum_trades=30,
    minimum_excess_return=0.01,
    minimum_deflated_sharpe=0.95,
    minimum_trials=10,
)
NOW = datetime(2022, 1, 1, tzinfo=UTC)


def folds(policy: Sequence[float], market: Sequence[float], /, **changes: Any) -> list[Evaluation]:
    """Build whole months of 10 trades whose daily returns are skill beyond doubt."""
    found, month = [], date(2021, 11, 1)
    for ours, theirs in zip(policy, market, strict=True):
        entry = (1 + theirs) * 0.997 - 1
        days = (month_start(next_month(month)) - month_start(month)).days
        fold = Evaluation(
            "id", "recipe", "BTC/USDT", "1h", "binance-1h", month, NOW, 24 * days, 0,
            performance(ours), performance(entry), performance(0.0), theirs, daily(month, [0.001, 0.003] * 14),
        )  # fmt: skip
        found.append(replace(fold, **changes))
        month = next_month(month)
    return found


def performance(total_return: float, trades: int = 10) -> Performance:
    return Performance(total_return, 1.0, 0.1, 2.0, 0.002, trades, 0.5)


def daily(month: date, policy: Sequence[float], market: Sequence[float] | None = None) -> DailyReturns:
    days = tuple(month + timedelta(days=number) for number in range(len(policy)))
    return DailyReturns(days, tuple(policy), tuple(market or [0.0] * len(policy)))


def good(count: int = 3, **changes: Any) -> list[Evaluation]:
    return folds([0.05] * count, [0.02] * count, **changes)


def failed(verdict: PromotionVerdict) -> list[str]:
    assert verdict.promoted == all(reason.startswith("passed: ") for reason in verdict.reasons)
    return [reason for reason in verdict.reasons if reason.startswith("failed: ")]


def test_a_policy_that_passes_every_rule_is_promoted() -> None:
    verdict = judge_promotion(folds([0.05, -0.01, 0.04], [0.02, -0.03, 0.01]), RULES, ())
    assert verdict.promoted
    assert failed(verdict) == []
    assert verdict.evidence["stitched_returns"]["policy"] == pytest.approx(1.05 * 0.99 * 1.04 - 1)


def test_enough_whole_months_are_needed_and_one_less_is_refused() -> None:
    assert failed(judge_promotion(good(3), RULES, ())) == []
    [reason] = failed(judge_promotion(good(2, policy=performance(0.05, 15)), RULES, ()))
    assert "tested on 2 whole months in a row (2021-11, 2021-12), 3 or more needed" in reason


def test_a_month_is_whole_from_the_minimum_share_of_its_candles_on() -> None:
    *before, newest = good(3)
    half = 24 * 31 // 2
    assert failed(judge_promotion([*before, replace(newest, candles=half)], RULES, ())) == []
    for partial in (replace(newest, candles=half - 1), replace(newest, undecided=half + 1)):
        [reason] = failed(judge_promotion([*before, partial], RULES, ()))
        assert "0 whole months in a row, 3 or more needed" in reason
        assert (
            "2022-01 is not whole: the policy decided on 49.9% of its candles, 50.0% or more needed" in reason
        )


def test_months_of_two_candles_do_not_count() -> None:
    [reason] = failed(judge_promotion(good(6, candles=2), RULES, ()))
    assert "0 whole months" in reason


def test_a_partial_month_ends_the_row_that_counts() -> None:
    months = good(4)
    months[1] = replace(months[1], candles=2)
    [reason] = failed(judge_promotion(months, RULES, ()))
    assert "2 whole months in a row (2022-01, 2022-02)" in reason
    assert "2021-12 is not whole" in reason


def test_enough_trades_are_needed_and_one_less_is_refused() -> None:
    *before, newest = good(3)
    assert failed(judge_promotion([*before, newest], RULES, ())) == []
    fewer = replace(newest, policy=performance(0.05, trades=9))
    [reason] = failed(judge_promotion([*before, fewer], RULES, ()))
    assert "29 trades in all months, 30 or more needed" in reason


@pytest.mark.parametrize(
    ("policy", "market", "reason"),
    [
        ([0.05] * 3, [0.10] * 3, "of buy-and-hold: excess"),
        ([-0.05] * 3, [-0.10] * 3, "against +0.00% of cash: excess -14.26%, more than +1.56% needed"),
        ([1 / 64, 0.0, 0.0], [-0.10] * 3, "against +0.00% of cash: excess +1.56%, more than +1.56% needed"),
    ],
)
def test_cash_and_holding_must_be_beaten_by_more_than_the_minimum(
    policy: list[float], market: list[float], reason: str
) -> None:
    [found] = failed(judge_promotion(folds(policy, market), replace(RULES, minimum_excess_return=1 / 64), ()))
    assert reason in found


def test_holding_pays_its_entry_once_and_the_policy_every_time() -> None:
    always_long = [0.10 * 0.997 - 0.003] * 3
    verdict = judge_promotion(folds(always_long, [0.10] * 3), replace(RULES, minimum_excess_return=0.0), ())
    assert verdict.evidence["stitched_returns"]["buy_and_hold"] == pytest.approx(1.1**3 * 0.997 - 1)
    assert not verdict.promoted


def test_the_probability_of_skill_is_that_of_bailey_and_lopez_de_prado_over_the_mix_of_equal_exposure() -> (
    None
):
    random = np.random.default_rng(4)
    market = random.normal(0.0, 0.03, (3, 28))
    policy = 0.4 * market + random.normal(0.002, 0.01, (3, 28))
    months = [
        replace(fold, daily=daily(fold.test_month, ours.tolist(), theirs.tolist()))
        for fold, ours, theirs in zip(good(3), policy, market, strict=True)
    ]
    excess = (policy - 0.5 * market).ravel()
    normal = NormalDist()
    benchmark = (1 - np.euler_gamma) * normal.inv_cdf(0.9) + np.euler_gamma * normal.inv_cdf(1 - 0.1 / math.e)
    sharpe, centred = excess.mean() / excess.std(ddof=1), (excess - excess.mean()) / excess.std()
    spread = 1 - (centred**3).mean() * sharpe + ((centred**4).mean() - 1) / 4 * sharpe**2
    expected = normal.cdf((sharpe * math.sqrt(83) - benchmark) / math.sqrt(spread))
    found = judge_promotion(months, RULES, ()).evidence["deflated_sharpe"]
    assert found == pytest.approx(expected)
    assert 0.1 < found < 0.9

    at_the_limit = replace(RULES, minimum_deflated_sharpe=found)
    [reason] = failed(judge_promotion(months, at_the_limit, ()))
    assert "holding 50% of the equity in the market is skill and not the luckiest of 10 tries" in reason
    below = replace(RULES, minimum_deflated_sharpe=math.nextafter(found, 0))
    assert failed(judge_promotion(months, below, ())) == []


def test_a_policy_that_never_differs_from_the_mix_has_no_skill() -> None:
    months = [replace(fold, daily=daily(fold.test_month, [0.0] * 28)) for fold in good(3)]
    verdict = judge_promotion(months, RULES, ())
    assert verdict.evidence["deflated_sharpe"] == 0.0
    assert not verdict.promoted


def test_a_day_on_which_the_market_lost_nearly_everything_can_be_judged() -> None:
    *before, newest = good(3)
    crash = daily(newest.test_month, [-4.0, 0.001] * 14, [-5.0, 0.0] * 14)
    assert not judge_promotion([*before, replace(newest, daily=crash)], RULES, ()).promoted


def test_more_recipes_than_the_minimum_make_the_gate_stricter() -> None:
    few, ten, more = (
        judge_promotion(good(3), RULES, [f"other {number}" for number in range(count)]).evidence
        for count in (0, 9, 10)
    )
    assert (few["trials"], ten["trials"], more["trials"]) == (10, 10, 11)
    weaker = replace(good(1)[0].daily, policy=tuple([-0.01, 0.0115] * 14))
    doubtful = good(3, daily=weaker)
    probabilities = [
        judge_promotion(doubtful, RULES, map(str, range(count))).evidence["deflated_sharpe"]
        for count in (9, 10, 100)
    ]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(set(probabilities)) == 3


def test_folds_of_two_recipes_prove_nothing_together() -> None:
    mixed = good(3)
    mixed[0] = replace(mixed[0], recipe="another")
    [reason] = failed(judge_promotion(mixed, RULES, ()))
    assert "folds of 2 recipes: at most 1 can be judged together" in reason


def test_without_folds_every_rule_on_them_fails_in_words() -> None:
    verdict = judge_promotion([], RULES, ())
    assert not verdict.promoted
    assert "0 whole months in a row, 3 or more needed" in verdict.reasons[0]


def test_folds_that_do_not_follow_each_other_cannot_be_stitched() -> None:
    with pytest.raises(InvalidValue, match="2021-11 and 2022-01 are not consecutive"):
        judge_promotion(good(3)[::2], RULES, ())
    first, second = good(2)
    with pytest.raises(InvalidValue, match="do not stitch"):
        judge_promotion([first, replace(second, pair="XRP/USDT")], RULES, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum_folds": 0},
        {"minimum_coverage": 0.0},
        {"minimum_coverage": 1.01},
        {"minimum_trades": -1},
        {"minimum_excess_return": -0.1},
        {"minimum_excess_return": float("nan")},
        {"minimum_deflated_sharpe": 1.0},
        {"minimum_deflated_sharpe": float("nan")},
        {"minimum_trials": 0},
    ],
)
def test_impossible_rules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"{next(iter(wrong))} is .*: allowed is"):
        replace(RULES, **wrong)


def test_the_same_verdict_on_the_same_evidence_is_recorded_once(tmp_path: Path) -> None:
    log = MemoryPromotions()
    registry = PolicyRegistry(tmp_path, log)
    verdict = judge_promotion(good(3), RULES, ())
    for _ in range(2):
        registry.record(PAIR, "id", verdict, datetime(2022, 1, 31, tzinfo=UTC))
    assert len(log.history(PAIR)) == 1
