"""Which policy trades: where bundles lie, and the gate that a policy has to pass. Newest is not best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from ml.learning.bundle import current_bundle
from ml.learning.evaluation import Evaluation
from ml.learning.policy import Policy, load_bundle
from trading.errors import InvalidValue, NotStored
from trading.market import Pair, next_month
from trading.ports import PromotionLog


@dataclass(frozen=True, slots=True)
class PromotionRules:
    minimum_folds: int  # consecutive out-of-sample months
    minimum_excess_return: (
        float  # a share; the stitched return must be above cash and buy-and-hold by more than this
    )

    def __post_init__(self) -> None:
        if self.minimum_folds < 1:
            raise InvalidValue(f"minimum_folds is {self.minimum_folds}: allowed is 1 or more")
        if not 0 <= self.minimum_excess_return <= 10:
            raise InvalidValue(f"minimum_excess_return is {self.minimum_excess_return}: allowed is 0 to 10")


@dataclass(frozen=True, slots=True)
class Verdict:
    promoted: bool
    reasons: tuple[str, ...]  # one sentence per rule, with its numbers
    evidence: Mapping[str, Any]  # plain JSON values


class PolicyRegistry:
    """Bundles below `root`/<pair>/<YYYY-MM>, all of one dataset, and the log of promotions."""

    def __init__(self, root: Path, log: PromotionLog) -> None:
        self._root = root
        self._log = log

    def folder(self, pair: Pair, month: date) -> Path:
        """Where the policies of one fold are written."""
        return self._root / pair.key / f"{month:%Y-%m}"

    def months(self, pair: Pair) -> list[date]:
        """Test months that have a policy, ascending."""
        found = (self._root / pair.key).glob("*/current")
        return sorted(date.fromisoformat(f"{path.parent.name}-01") for path in found)

    def latest_folds(self, pair: Pair) -> list[date]:
        """The newest unbroken run of test months that have a policy, ascending; empty when there is none."""
        run: list[date] = []
        for month in reversed(self.months(pair)):
            if run and next_month(month) != run[-1]:
                break
            run.append(month)
        return run[::-1]

    def bundle(self, pair: Pair, month: date) -> Policy:
        """The policy trained last for that test month. NotStored when there is none."""
        return load_bundle(current_bundle(self.folder(pair, month)))

    def by_id(self, pair: Pair, policy_id: str) -> Policy:
        """Any policy that was ever trained for the pair. NotStored when its bundle is not there."""
        for folder in (self._root / pair.key).glob(f"*/{policy_id}"):
            return load_bundle(folder)
        raise NotStored(
            f"no bundle of policy {policy_id} below {self._root / pair.key}: restore it or promote another"
        )

    def champion(self, pair: Pair, until: datetime | None = None) -> Policy | None:
        """The policy promoted by `until`; None while none had passed the gate. One whose bundle is lost raises."""
        policy_id = self._log.champion(pair, until)
        return None if policy_id is None else self.by_id(pair, policy_id)

    def record(self, pair: Pair, policy_id: str, verdict: Verdict, at: datetime) -> None:
        """Enter the gate's verdict, known from `at` on; the same verdict on the same evidence is entered once."""
        evidence = {**verdict.evidence, "reasons": list(verdict.reasons)}
        said = {"policy_id": policy_id, "promoted": verdict.promoted, "evidence": evidence, "at": at}
        if self._log.history(pair)[:1] != [said]:
            self._log.record(pair, policy_id, verdict.promoted, evidence, at)


def judge(evaluations: Sequence[Evaluation], rules: PromotionRules) -> Verdict:
    """May the newest fold's policy trade? Judged on consecutive folds, oldest first, stitched to one history.

    Every fold starts flat and pays its own way in, while buy-and-hold pays once: the doubt goes against the
    policy. Raises InvalidValue when the folds are not consecutive months of one pair and dataset.
    """
    _check_consecutive(evaluations)
    returns = {
        "policy": math.prod(1 + fold.policy.total_return for fold in evaluations) - 1,
        "cash": math.prod(1 + fold.cash.total_return for fold in evaluations) - 1,
        "buy_and_hold": _held_throughout(evaluations),
    }
    recipes = {fold.recipe for fold in evaluations}
    verdicts = [
        (len(evaluations) >= rules.minimum_folds, _folds_reason(evaluations, rules)),
        (
            len(recipes) <= 1,
            f"folds of {len(recipes)} recipe{'s' * (len(recipes) != 1)}: at most 1 can be judged together",
        ),
        *(_excess(name, returns, rules) for name in ("cash", "buy_and_hold")),
    ]
    reasons = tuple(f"{'passed' if passed else 'failed'}: {reason}" for passed, reason in verdicts)
    return Verdict(all(passed for passed, _ in verdicts), reasons, _evidence(evaluations, returns, rules))


def _excess(name: str, returns: Mapping[str, float], rules: PromotionRules) -> tuple[bool, str]:
    excess = returns["policy"] - returns[name]
    reason = (
        f"return of {returns['policy']:+.2%} against {returns[name]:+.2%} of {name.replace('_', '-')}: "
        f"excess {excess:+.2%}, more than {rules.minimum_excess_return:+.2%} needed"
    )
    return excess > rules.minimum_excess_return, reason


def _folds_reason(evaluations: Sequence[Evaluation], rules: PromotionRules) -> str:
    months = ", ".join(f"{fold.test_month:%Y-%m}" for fold in evaluations) or "none"
    return f"{len(evaluations)} folds out of sample ({months}): at least {rules.minimum_folds} needed"


def _held_throughout(evaluations: Sequence[Evaluation]) -> float:
    """Buying once, in the first fold, and holding: later folds contribute the price alone."""
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
