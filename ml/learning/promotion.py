"""The promotion gate: whether a policy may trade, judged on months that it has never seen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ml.learning.evaluation import Evaluation
from trading.errors import InvalidValue
from trading.market import next_month


@dataclass(frozen=True, slots=True)
class PromotionRules:
    minimum_folds: int  # consecutive out-of-sample months
    minimum_excess_return: (
        float  # a share; the joined return must beat cash and buy-and-hold by more than this
    )

    def __post_init__(self) -> None:
        if self.minimum_folds < 1:
            raise InvalidValue(f"minimum_folds is {self.minimum_folds}: allowed is 1 or more")
        if not 0 <= self.minimum_excess_return <= 10:
            raise InvalidValue(f"minimum_excess_return is {self.minimum_excess_return}: allowed is 0 to 10")


@dataclass(frozen=True, slots=True)
class PromotionVerdict:
    promoted: bool
    reasons: tuple[str, ...]  # one sentence per rule, with its numbers
    evidence: Mapping[str, Any]  # plain JSON values


def judge_promotion(evaluations: Sequence[Evaluation], rules: PromotionRules) -> PromotionVerdict:
    """Decide whether the newest fold's policy may trade, from consecutive folds, oldest first, joined to one history.

    Every fold starts flat and pays for its own entry, while buy-and-hold pays once: doubt counts against the
    policy. Raises InvalidValue when the folds are not consecutive months of one pair and dataset.
    """
    _check_consecutive(evaluations)
    returns = {
        "policy": math.prod(1 + fold.policy.total_return for fold in evaluations) - 1,
        "cash": math.prod(1 + fold.cash.total_return for fold in evaluations) - 1,
        "buy_and_hold": _buy_and_hold_return(evaluations),
    }
    recipes = {fold.recipe for fold in evaluations}
    checks = [
        (len(evaluations) >= rules.minimum_folds, _folds_reason(evaluations, rules)),
        (
            len(recipes) <= 1,
            f"folds of {len(recipes)} recipe{'s' * (len(recipes) != 1)}: at most 1 can be judged together",
        ),
        *(_check_excess(name, returns, rules) for name in ("cash", "buy_and_hold")),
    ]
    reasons = tuple(f"{'passed' if passed else 'failed'}: {reason}" for passed, reason in checks)
    promoted = all(passed for passed, _ in checks)
    return PromotionVerdict(promoted, reasons, _evidence(evaluations, returns, rules))


def _check_excess(name: str, returns: Mapping[str, float], rules: PromotionRules) -> tuple[bool, str]:
    excess = returns["policy"] - returns[name]
    reason = (
        f"return of {returns['policy']:+.2%} against {returns[name]:+.2%} of {name.replace('_', '-')}: "
        f"excess {excess:+.2%}, more than {rules.minimum_excess_return:+.2%} needed"
    )
    return excess > rules.minimum_excess_return, reason


def _folds_reason(evaluations: Sequence[Evaluation], rules: PromotionRules) -> str:
    months = ", ".join(f"{fold.test_month:%Y-%m}" for fold in evaluations) or "none"
    return f"{len(evaluations)} folds out of sample ({months}): at least {rules.minimum_folds} needed"


def _buy_and_hold_return(evaluations: Sequence[Evaluation]) -> float:
    """Return of buying once, in the first fold, and holding: later folds contribute the price alone."""
    first = [1 + fold.buy_and_hold.total_return for fold in evaluations[:1]]
    return math.prod([*first, *(1 + fold.market_return for fold in evaluations[1:])]) - 1


def _evidence(
    evaluations: Sequence[Evaluation], returns: Mapping[str, float], rules: PromotionRules
) -> dict[str, Any]:
    return {
        "stitched_returns": dict(returns),
        "minimum_folds": rules.minimum_folds,
        "minimum_excess_return": rules.minimum_excess_return,
        "folds": [
            {
                "test_month": fold.test_month.isoformat(),
                "policy_id": fold.policy_id,
                "policy": fold.policy.total_return,
                "buy_and_hold": fold.buy_and_hold.total_return,
            }
            for fold in evaluations
        ],
    }


def _check_consecutive(evaluations: Sequence[Evaluation]) -> None:
    for before, after in pairwise(evaluations):
        if (before.pair, before.dataset) != (after.pair, after.dataset):
            raise InvalidValue(
                f"folds of {before.pair} {before.dataset} and {after.pair} {after.dataset} do not stitch"
            )
        if after.test_month != next_month(before.test_month):
            raise InvalidValue(
                f"folds {before.test_month:%Y-%m} and {after.test_month:%Y-%m} are not consecutive: "
                "evaluate the months between them first"
            )
