from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ml.learning.evaluation import Evaluation, Performance
from ml.learning.promotion import PromotionRules, judge_promotion
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryPromotions
from tests.ml.learning.folds_of_candles import PAIR
from trading.errors import InvalidValue
from trading.market import next_month

RULES = PromotionRules(minimum_folds=3, minimum_excess_return=0.01)
NOW = datetime(2022, 1, 1, tzinfo=UTC)


def performance(total_return: float) -> Performance:
    return Performance(total_return, 1.0, 0.1, 2.0, 0.002, 4, 0.5)


def folds(policy: Sequence[float], market: Sequence[float]) -> list[Evaluation]:
    found, month = [], date(2021, 11, 1)
    for ours, theirs in zip(policy, market, strict=True):
        entry = (1 + theirs) * 0.997 - 1
        found.append(
            Evaluation(
                "id", "recipe", "BTC/USDT", "1h", "binance-1h", month, NOW, 700, 0,
                performance(ours), performance(entry), performance(0.0), theirs,
            )
        )  # fmt: skip
        month = next_month(month)
    return found


def test_a_policy_that_beats_cash_and_holding_over_enough_folds_is_promoted() -> None:
    verdict = judge_promotion(folds([0.05, -0.01, 0.04], [0.02, -0.03, 0.01]), RULES)
    assert verdict.promoted
    assert verdict.evidence["stitched_returns"]["policy"] == pytest.approx(1.05 * 0.99 * 1.04 - 1)
    assert all(reason.startswith("passed") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("policy", "market", "reason"),
    [
        ([0.05, 0.05], [0.0, 0.0], "failed: 2 folds out of sample (2021-11, 2021-12): at least 3 needed"),
        ([0.05] * 3, [0.10] * 3, "of buy-and-hold: excess"),
        ([-0.05] * 3, [-0.10] * 3, "against +0.00% of cash: excess -14.26%, more than +1.00% needed"),
        ([0.0] * 3, [-0.10] * 3, "against +0.00% of cash: excess +0.00%"),
        ([], [], "failed: 0 folds out of sample (none)"),
    ],
)
def test_a_policy_that_fails_a_rule_is_not_promoted_and_the_reason_has_the_numbers(
    policy: list[float], market: list[float], reason: str
) -> None:
    verdict = judge_promotion(folds(policy, market), RULES)
    assert not verdict.promoted
    assert any(reason in each and each.startswith("failed") for each in verdict.reasons)


def test_holding_pays_its_entry_once_and_the_policy_every_time() -> None:
    always_long = [0.10 * 0.997 - 0.003] * 3
    verdict = judge_promotion(folds(always_long, [0.10] * 3), PromotionRules(3, 0.0))
    assert verdict.evidence["stitched_returns"]["buy_and_hold"] == pytest.approx(1.1**3 * 0.997 - 1)
    assert not verdict.promoted


def test_folds_of_two_recipes_prove_nothing_together() -> None:
    mixed = folds([0.05] * 3, [0.0] * 3)
    mixed[0] = replace(mixed[0], recipe="another")
    assert not judge_promotion(mixed, RULES).promoted


def test_folds_that_do_not_follow_each_other_cannot_be_stitched() -> None:
    with pytest.raises(InvalidValue, match="2021-11 and 2022-01 are not consecutive"):
        judge_promotion(folds([0.05] * 3, [0.0] * 3)[::2], RULES)
    other = folds([0.05] * 2, [0.0] * 2)
    with pytest.raises(InvalidValue, match="do not stitch"):
        judge_promotion([other[0], replace(other[1], pair="XRP/USDT")], RULES)


@pytest.mark.parametrize("values", [(0, 0.0), (3, -0.1), (3, float("nan"))])
def test_impossible_rules_are_refused(values: tuple[int, float]) -> None:
    with pytest.raises(InvalidValue, match="minimum_"):
        PromotionRules(*values)


def test_the_same_verdict_on_the_same_evidence_is_recorded_once(tmp_path: Path) -> None:
    log = MemoryPromotions()
    registry = PolicyRegistry(tmp_path, log)
    verdict = judge_promotion(folds([0.05, -0.01, 0.04], [0.02, -0.03, 0.01]), RULES)
    for _ in range(2):
        registry.record(PAIR, "id", verdict, datetime(2022, 1, 31, tzinfo=UTC))
    assert len(log.history(PAIR)) == 1
