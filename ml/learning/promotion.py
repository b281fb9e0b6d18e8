"""The promotion gate: whether a policy may trade, judged on months that it has never seen (docs/gate.md)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ml.learning.evaluation import Evaluation
from ml.learning.joined_folds import JoinedFolds
from trading.errors import InvalidValue

Check = tuple[bool, str]  # whether the rule is passed, and a sentence with its numbers


@dataclass(frozen=True, slots=True)
class PromotionRules:
    minimum_folds: int  # whole consecutive out-of-sample months
    minimum_coverage: float  # share of a month's candles that must be decided on for the month to be whole
    minimum_trades: int  # in all folds
    minimum_excess_return: (
        float  # a share; the joined return must beat cash and buy-and-hold by more than this
    )
    minimum_deflated_sharpe: float  # probability of skill that must be exceeded
    minimum_trials: int  # recipes that count as tried even when fewer are on record

    def __post_init__(self) -> None:
        allowed = {
            "minimum_folds": (self.minimum_folds >= 1, "1 or more"),
            "minimum_coverage": (0 < self.minimum_coverage <= 1, "above 0, up to 1"),
            "minimum_trades": (self.minimum_trades >= 0, "0 or more"),
            "minimum_excess_return": (0 <= self.minimum_excess_return <= 10, "0 to 10"),
            "minimum_deflated_sharpe": (0 <= self.minimum_deflated_sharpe < 1, "0 or more, below 1"),
            "minimum_trials": (self.minimum_trials >= 1, "1 or more"),
        }
        for name, (possible, values) in allowed.items():
            if not possible:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is {values}")


@dataclass(frozen=True, slots=True)
class PromotionVerdict:
    promoted: bool
    reasons: tuple[str, ...]  # one sentence per rule, with its numbers
    evidence: Mapping[str, Any]  # plain JSON values


def judge_promotion(
    evaluations: Sequence[Evaluation], rules: PromotionRules, recipes_tried: Collection[str]
) -> PromotionVerdict:
    """Decide whether the newest fold's policy may trade, from consecutive folds, oldest first, joined to one history.

    `recipes_tried` are all that were ever evaluated for the pair, those of the folds or not: the best of many
    tries looks good by luck. Raises InvalidValue when the folds are not consecutive months of one pair and dataset.
    """
    joined = JoinedFolds(tuple(evaluations))
    tried = sorted({*recipes_tried, *joined.recipes})
    trials = max(rules.minimum_trials, len(tried))
    whole, returns = joined.whole_months(rules.minimum_coverage), joined.returns()
    skill = joined.deflated_sharpe(trials)
    checks = [
        _check_months(joined, whole, rules),
        _check_recipes(joined),
        _check_trades(joined, rules),
        *(_check_excess(name, returns, rules) for name in ("cash", "buy_and_hold")),
        _check_skill(skill, joined.exposure, trials, rules),
    ]
    return PromotionVerdict(
        promoted=all(passed for passed, _ in checks),
        reasons=tuple(f"{'passed' if passed else 'failed'}: {reason}" for passed, reason in checks),
        evidence={
            "rules": asdict(rules),
            "whole_months": len(whole),
            "trades": joined.trades,
            "stitched_returns": returns,
            "exposure": joined.exposure,
            "trials": trials,
            "recipes_tried": tried,
            "deflated_sharpe": skill,
            "folds": [_fold_evidence(fold) for fold in joined.folds],
        },
    )


def _check_months(joined: JoinedFolds, whole: Sequence[Evaluation], rules: PromotionRules) -> Check:
    months = f" ({', '.join(f'{fold.test_month:%Y-%m}' for fold in whole)})" if whole else ""
    reason = (
        f"tested on {_count(len(whole), 'whole month')} in a row{months}, {rules.minimum_folds} or more needed: "
        "in fewer, luck looks like skill"
    )
    if partial := joined.folds[: len(joined.folds) - len(whole)]:
        reason += (
            f"; {partial[-1].test_month:%Y-%m} is not whole: the policy decided on {partial[-1].coverage:.1%} of its "
            f"candles, {rules.minimum_coverage:.1%} or more needed"
        )
    return len(whole) >= rules.minimum_folds, reason


def _check_recipes(joined: JoinedFolds) -> Check:
    count = len(joined.recipes)
    return count <= 1, f"folds of {_count(count, 'recipe')}: at most 1 can be judged together"


def _check_trades(joined: JoinedFolds, rules: PromotionRules) -> Check:
    reason = (
        f"{_count(joined.trades, 'trade')} in all months, {rules.minimum_trades} or more needed: "
        "a few good trades prove nothing"
    )
    return joined.trades >= rules.minimum_trades, reason


def _check_excess(name: str, returns: Mapping[str, float], rules: PromotionRules) -> Check:
    excess = returns["policy"] - returns[name]
    reason = (
        f"return of {returns['policy']:+.2%} against {returns[name]:+.2%} of {name.replace('_', '-')}: "
        f"excess {excess:+.2%}, more than {rules.minimum_excess_return:+.2%} needed"
    )
    return excess > rules.minimum_excess_return, reason


def _check_skill(probability: float, exposure: float, trials: int, rules: PromotionRules) -> Check:
    reason = (
        f"probability of {probability:.3f} (deflated Sharpe ratio) that the daily gain over simply holding "
        f"{exposure:.0%} of the equity in the market is skill and not the luckiest of "
        f"{_count(trials, 'try', 'tries')}: more than {rules.minimum_deflated_sharpe:.3f} needed"
    )
    return probability > rules.minimum_deflated_sharpe, reason


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _fold_evidence(fold: Evaluation) -> dict[str, Any]:
    return {
        "test_month": fold.test_month.isoformat(),
        "policy_id": fold.policy_id,
        "coverage": fold.coverage,
        "trades": fold.policy.trades,
        "policy": fold.policy.total_return,
        "buy_and_hold": fold.buy_and_hold.total_return,
    }
