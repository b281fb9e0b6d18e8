"""Checks of policies, evaluations, champions and track records, over the partitions of the run."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from math import isfinite
from typing import Any

import dagster as dg

from assets.check_scope import broken, run_days, run_pairs, run_partitions, verdict
from assets.partitions import pair_months
from assets.performance import model_performance
from assets.policies import champion_policy, policy_evaluation, ppo_policy
from ml.learning.evaluation import Evaluation
from ml.learning.evaluation_files import EvaluationFiles
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from trading.errors import MarketloomError
from trading.indicators import POLICY_FEATURES
from trading.market import Pair, Universe, month_start
from trading.ports import PerformanceStore


@dg.asset_check(
    asset=ppo_policy,
    blocking=True,  # weights that are not those of their manifest must not be tested, promoted or traded
    description="The bundle is what its manifest says, of this fold, and has not learned from its test month.",
)
def policies_are_what_their_manifest_says(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    policies: dg.ResourceParam[PolicyRegistry],
) -> dg.AssetCheckResult:
    folds = list(_folds(context, universe, policies))
    return verdict(
        {f"{pair} {month:%Y-%m}": _bundle_faults(policies, universe, pair, month) for pair, month in folds},
        policies=len(folds),
    )


def _folds(
    context: dg.AssetCheckExecutionContext, universe: Universe, policies: PolicyRegistry
) -> Iterable[tuple[Pair, date]]:
    keys = run_partitions(context)
    if keys is not None:
        return [(pair, month) for _, pair, month in pair_months(keys)]
    return [(pair, month) for pair in universe.pairs for month in policies.months(pair)]


def _bundle_faults(policies: PolicyRegistry, universe: Universe, pair: Pair, month: date) -> list[str]:
    try:
        policy = policies.bundle(pair, month)
    except MarketloomError as error:  # a bundle that was changed names the digest that differs
        return [str(error)]
    manifest = policy.manifest
    return broken(
        {
            f"is of {manifest.pair} {manifest.test_month:%Y-%m}": (manifest.pair, manifest.test_month)
            != (str(pair), month),
            f"learned from {manifest.dataset}": manifest.dataset != universe.dataset,
            "learned from its test month": manifest.training_end > month_start(month),
            "reads other features than there are": manifest.feature_names != POLICY_FEATURES,
            "its reward is not a number": not all(map(isfinite, manifest.reward_curve)),
        }
    )


@dg.asset_check(
    asset=policy_evaluation, description="Numbers are possible and no test candle was learned from."
)
def evaluations_are_sane(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    policies: dg.ResourceParam[PolicyRegistry],
) -> dg.AssetCheckResult:
    files, keys = EvaluationFiles(policies), run_partitions(context)
    if keys is None:
        folds = [(pair, fold) for pair in universe.pairs for fold in files.newest_run(pair)]
    else:
        folds = [(pair, files.read(pair, month)) for _, pair, month in pair_months(keys)]
    return verdict(
        {f"{pair} {fold.test_month:%Y-%m}": _evaluation_faults(fold, policies, pair) for pair, fold in folds}
    )


def _evaluation_faults(evaluation: Evaluation, policies: PolicyRegistry, pair: Pair) -> list[str]:
    manifest = policies.bundle(pair, evaluation.test_month).manifest
    policy = evaluation.policy
    rules = {
        "trained into its test month": manifest.training_end > month_start(evaluation.test_month),
        "cash earned something": evaluation.cash.total_return != 0,
        "drawdown outside 0..1": not 0 <= policy.maximum_drawdown < 1,
        "exposure outside 0..1": not 0 <= policy.exposure <= 1,
        "lost more than everything": not policy.total_return > -1,
        "traded without fees": policy.trades > 0 and not policy.fees > 0,
    }
    return broken(rules)


@dg.asset_check(
    asset=champion_policy,
    description="The policy that trades can be loaded, is of its pair, and its evaluation is stored.",
)
def champions_can_trade(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    policies: dg.ResourceParam[PolicyRegistry],
) -> dg.AssetCheckResult:
    pairs = run_pairs(context, universe)
    return verdict({str(pair): _champion_faults(policies, pair) for pair in pairs}, pairs=len(pairs))


def _champion_faults(policies: PolicyRegistry, pair: Pair) -> list[str]:
    try:
        champion = policies.champion(pair)
        return [] if champion is None else _evidence_faults(champion, policies, pair)
    except MarketloomError as error:
        return [str(error)]


def _evidence_faults(champion: Policy, policies: PolicyRegistry, pair: Pair) -> list[str]:
    manifest = champion.manifest
    evaluation = EvaluationFiles(policies).of_policy(pair, manifest.test_month, champion.policy_id)
    return broken(
        {
            f"is of {manifest.pair}": manifest.pair != str(pair),
            "was evaluated under another id": evaluation.policy_id != champion.policy_id,
        }
    )


@dg.asset_check(
    asset=model_performance,
    description="Every day's scores are possible: no more votes than candles, hit rates within 0..1.",
)
def scores_are_possible(
    context: dg.AssetCheckExecutionContext, performance_store: dg.ResourceParam[PerformanceStore]
) -> dg.AssetCheckResult:
    start, end = run_days(context)
    rows = performance_store.read(start.date(), end.date())
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[f"{row['day']} {row['pair']} {row['model']} ({row['mode']})"] += _score_faults(row)
    return verdict(found, scores=len(rows))


def _score_faults(row: dict[str, Any]) -> list[str]:
    hit_rate = row["hit_rate"]
    return broken(
        {
            "more votes than candles": row["votes"] > row["candles"],
            "hit rate outside 0..1": hit_rate is not None and not 0 <= hit_rate <= 1,
            "a hit rate without a vote": hit_rate is not None and row["votes"] == 0,
            "no profit or loss": row["pnl"] is None or not isfinite(row["pnl"]),
            "buy and hold that does not vote": row["model"] == "buy_and_hold"
            and row["votes"] != row["candles"],
        }
    )
