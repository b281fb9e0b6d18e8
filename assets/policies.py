"""Learning: a policy per fold, its out-of-sample result, and the champion that the gate lets through."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.errors import DagsterPipesExecutionError
from pydantic import Field

from assets.current_inputs import inputs_are_current, inputs_metadata
from assets.features import features
from assets.market import OHLCV
from assets.metadata_numbers import readable
from assets.metadata_plots import line_plot
from assets.partitions import PAIR_MONTHS, PAIR_OF_MONTHS, PAIRS, earlier_months, pair_months
from assets.versions import read_inputs
from ml.learning.evaluation import Evaluation, evaluate
from ml.learning.evaluation_files import EvaluationFiles
from ml.learning.folds import Fold, build_fold
from ml.learning.masking import CANDLES_OF_REWARD, Interval, reach
from ml.learning.policy import Policy
from ml.learning.promotion import PromotionRules, judge_promotion
from ml.learning.registry import PolicyRegistry
from ml.learning.train_process import PARENT, describe_end
from ml.learning.training import TrainingConfig
from ml.learning.training_job import recipe, training_data
from ml.learning.training_request import TrainingRequest
from trading.errors import InvalidBundle, NotStored, TrainingFailed
from trading.fills import Costs
from trading.indicators import POLICY_FEATURES
from trading.market import Pair, Universe, month_start, next_month
from trading.ports import TableStore
from trading.stream_coverage import StreamCoverage

PROJECT = Path(__file__).resolve().parents[1]
REACH_MARGIN = 3  # candles are missing here and there: windows of so many candles reach further back in time
MAX_TRAINING_MONTHS = 36  # months of features that a fold may reach back, for lineage


class PolicyConfig(dg.Config):
    """Settings of this run that differ from marketloom.toml."""

    total_timesteps: int = Field(0, description="Frames to train for. 0: as marketloom.toml says.", ge=0)
    again: bool = Field(False, description="Train even when the same inputs have been trained on already.")


@dg.asset(
    partitions_def=PAIR_MONTHS,
    group_name="learning",
    kinds={"torch", "ppo"},
    owners=["team:research"],
    code_version="1",
    pool="training",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[
        dg.AssetDep(features, partition_mapping=earlier_months(MAX_TRAINING_MONTHS)),
        dg.AssetDep(OHLCV, partition_mapping=earlier_months(MAX_TRAINING_MONTHS)),
    ],
)
def ppo_policy(
    context: dg.AssetExecutionContext,
    config: PolicyConfig,
    universe: dg.ResourceParam[Universe],
    training: dg.ResourceParam[TrainingConfig],
    costs: dg.ResourceParam[Mapping[Pair, Costs]],
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
    policies: dg.ResourceParam[PolicyRegistry],
    stream_coverage: dg.ResourceParam[StreamCoverage],
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult[None]:
    """Train on the months before, with an embargo between, to be tested on this month; in a process of its own."""
    [(key, pair, month)] = pair_months([context.partition_key])
    inputs = read_inputs(context, context.asset_key, [key])[key]
    chosen = replace(training, total_timesteps=config.total_timesteps) if config.total_timesteps else training
    cut = build_fold(
        month, candle_store.months(pair), chosen.train_months, chosen.embargo_candles, universe.timeframe
    )
    with TemporaryDirectory(prefix="marketloom-training-") as folder:
        request = TrainingRequest(
            tables=(Path(folder) / "rows.parquet",),
            feature_names=POLICY_FEATURES,
            pair=pair,
            timeframe=universe.timeframe,
            dataset=universe.dataset,
            fold=cut,
            costs=costs[pair],
            config=chosen,
            output=policies.folder(pair, month),
            unrepaired=_gaps_within_reach(stream_coverage, pair, cut.start, cut.end),
        )
        training_rows(candle_store, feature_store, pair, cut).write_parquet(request.tables[0])
        policy = None if config.again else find_identical_policy(policies, request)
        if policy is None:
            train_in_own_process(context, pipes, request, Path(folder))
            policy = policies.bundle(pair, month)
        else:
            context.log.info(
                f"{pair} {month:%Y-%m}: policy {policy.policy_id} has learned from these rows before"
            )
    return dg.MaterializeResult(
        metadata=_policy_metadata(policy) | inputs_metadata(inputs),
        data_version=dg.DataVersion(policy.policy_id),
    )


policy_inputs_are_current = inputs_are_current(ppo_policy)


def training_rows(candle_store: TableStore, feature_store: TableStore, pair: Pair, cut: Fold) -> pl.DataFrame:
    """Read opens, closes and features of the fold's training candles."""
    candles = candle_store.between(pair, cut.start, cut.end).select(
        "open_time", "close_time", "open", "close"
    )
    known = feature_store.between(pair, cut.start, cut.end).select("open_time", *POLICY_FEATURES)
    return candles.join(known, on="open_time", maintain_order="left")


def _gaps_within_reach(
    coverage: StreamCoverage, pair: Pair, start: datetime, end: datetime
) -> tuple[Interval, ...]:
    """Read the unrepaired feed gaps that a row from `start` to `end` can see, or earn its reward in."""
    seen = reach(POLICY_FEATURES, coverage.timeframe) * coverage.timeframe.duration
    earned = CANDLES_OF_REWARD * coverage.timeframe.duration
    return tuple(coverage.unrepaired(pair, start - REACH_MARGIN * seen, end + earned))


def find_identical_policy(policies: PolicyRegistry, request: TrainingRequest) -> Policy | None:
    """Find the fold's policy if exactly this request made it: training is deterministic and would repeat it."""
    try:
        policy = policies.bundle(request.pair, request.fold.test_month)
    except (NotStored, InvalidBundle):
        return None
    asked = (training_data(request).digest(), recipe(request))
    same = (policy.manifest.inputs_hash, policy.manifest.recipe) == asked
    return policy if same else None


def train_in_own_process(
    context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient, request: TrainingRequest, folder: Path
) -> None:
    """Train in a child process. TrainingFailed when it ends without a policy; its output is in the run's logs."""
    context.log.info(
        f"{request.pair} {request.fold.test_month:%Y-%m}: training {request.config.frames:,} frames"
    )
    request.write(folder / "request.json")
    command = [sys.executable, "-m", "ml.learning.train_process", str(folder / "request.json")]
    try:
        pipes.run(command=command, context=context, cwd=str(PROJECT), env={PARENT: str(os.getpid())})
    except DagsterPipesExecutionError as error:
        raise TrainingFailed(
            f"training {request.pair} {request.fold.test_month:%Y-%m} ended without a policy: "
            f"{describe_end(str(error))}; its own words are in the run's stderr, nothing was stored, "
            "materialise the partition again"
        ) from None


def _policy_metadata(policy: Policy) -> dict[str, Any]:
    manifest = policy.manifest
    curve = list(manifest.reward_curve)
    return {
        "policy_id": manifest.policy_id,
        "frames": manifest.frames,
        "frames_per_second": round(manifest.frames_per_second),
        "training_rows": manifest.training_rows,
        "masked_share": manifest.masked_share,
        "training_window": f"{manifest.training_start:%Y-%m-%d %H:%M} to {manifest.training_end:%Y-%m-%d %H:%M} UTC",
        "embargo_candles": manifest.embargo_candles,
        "reward_curve": line_plot(
            f"Mean log growth per candle and rollout, {manifest.pair} {manifest.test_month:%Y-%m}",
            list(range(1, len(curve) + 1)),
            {"reward": curve},
        ),
        "manifest": dg.MetadataValue.json(manifest.as_json()),
    }


@dg.asset(
    partitions_def=PAIR_MONTHS,
    group_name="learning",
    kinds={"numpy"},
    owners=["team:research"],
    code_version="3",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[ppo_policy, features, OHLCV],
)
def policy_evaluation(
    context: dg.AssetExecutionContext,
    costs: dg.ResourceParam[Mapping[Pair, Costs]],
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
    policies: dg.ResourceParam[PolicyRegistry],
    stream_coverage: dg.ResourceParam[StreamCoverage],
) -> dg.MaterializeResult[None]:
    """Evaluate the fold's policy on the month it has never seen, after costs, against cash and buy-and-hold."""
    [(_, pair, month)] = pair_months([context.partition_key])
    policy = policies.bundle(pair, month)
    start, end = month_start(month), month_start(next_month(month))
    evaluation = evaluate(
        policy,
        feature_store.read(pair, month),
        candle_store.read(pair, month),
        costs[pair],
        _gaps_within_reach(stream_coverage, pair, start, end),
    )
    EvaluationFiles(policies).write(evaluation)
    context.log.info(
        f"{pair} {month:%Y-%m}: policy {evaluation.policy.total_return:+.2%}, "
        f"buy and hold {evaluation.buy_and_hold.total_return:+.2%}, out of sample after costs"
    )
    return dg.MaterializeResult(metadata=_evaluation_metadata(evaluation))


def _evaluation_metadata(evaluation: Evaluation) -> dict[str, Any]:
    curves = evaluation.curves
    assert curves is not None
    thin = curves.gather_every(max(1, curves.height // 400))
    lines = {name: thin[name].to_list() for name in ("policy", "buy_and_hold", "cash")}
    return {
        "policy_return": readable(evaluation.policy.total_return),
        "buy_and_hold_return": readable(evaluation.buy_and_hold.total_return),
        "sharpe": readable(evaluation.policy.annualised_sharpe),
        "maximum_drawdown": readable(evaluation.policy.maximum_drawdown),
        "trades": evaluation.policy.trades,
        "dagster/row_count": evaluation.candles,
        "masked_candles": evaluation.masked,
        "equity": line_plot(
            f"Out of sample: {evaluation.pair} {evaluation.test_month:%Y-%m}",
            thin["close_time"].to_list(),
            lines,
        ),
        "evaluation": dg.MetadataValue.json(evaluation.as_json()),
    }


@dg.asset(
    partitions_def=PAIRS,
    group_name="learning",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="2",
    deps=[dg.AssetDep(policy_evaluation, partition_mapping=PAIR_OF_MONTHS)],
)
def champion_policy(
    context: dg.AssetExecutionContext,
    promotion: dg.ResourceParam[PromotionRules],
    policies: dg.ResourceParam[PolicyRegistry],
) -> dg.MaterializeResult[None]:
    """Promote the newest policy to trade, only when it passes every rule of the gate out of sample, after costs."""
    pair = Pair.parse(context.partition_key)
    inputs = read_inputs(context, context.asset_key, [pair.key])[pair.key]
    evaluations = EvaluationFiles(policies)
    folds = evaluations.newest_run(pair)
    if not folds:
        raise NotStored(f"no evaluated fold of {pair}: materialise ppo_policy and policy_evaluation first")
    verdict = judge_promotion(folds, promotion, evaluations.recipes_tried(pair))
    policies.record(pair, folds[-1].policy_id, verdict, folds[-1].known_at)
    champion = policies.champion(pair)
    context.log.info(
        f"{pair}: champion {champion.policy_id if champion else 'none'}; {'; '.join(verdict.reasons)}"
    )
    return dg.MaterializeResult(
        metadata={
            "challenger": folds[-1].policy_id,
            "promoted": verdict.promoted,
            **{
                name: readable(verdict.evidence[name])
                for name in ("whole_months", "trades", "trials", "deflated_sharpe")
            },
            "champion": champion.policy_id if champion else "none: the quant agent abstains",
            "reasons": dg.MetadataValue.md("\n".join(f"* {reason}" for reason in verdict.reasons)),
            "evidence": dg.MetadataValue.json(dict(verdict.evidence)),
            **inputs_metadata(inputs),
        }
    )


champion_inputs_are_current = inputs_are_current(champion_policy)
