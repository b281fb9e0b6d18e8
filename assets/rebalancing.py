"""The rebalancing agent: the next trade that brings the portfolio nearer to its targets, and why."""

from typing import Any

import dagster as dg

from assets.decisions import decision
from assets.features import features
from assets.market import OHLCV, instruments
from assets.metadata_numbers import readable
from ml.decision.reader import InputReader
from ml.decision.rebalancing import Rebalancer, Rebalancing
from trading.rebalancing import NoRebalance


@dg.asset(
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="1",
    pool="account",
    deps=[
        instruments,
        dg.AssetDep(OHLCV, partition_mapping=dg.LastPartitionMapping()),
        dg.AssetDep(features, partition_mapping=dg.LastPartitionMapping()),
        dg.AssetDep(decision, partition_mapping=dg.AllPartitionMapping()),
    ],
)
def rebalance_recommendation(
    context: dg.AssetExecutionContext,
    input_reader: dg.ResourceParam[InputReader],
    rebalancer: dg.ResourceParam[Rebalancer],
) -> dg.MaterializeResult[None]:
    """Compare the allocation with its targets; with `[rebalancing] execute`, order the first trade on paper."""
    done = rebalancer.run(input_reader.read_clock())
    context.log.info(
        done.recommendation.reason
        if isinstance(done.recommendation, NoRebalance)
        else done.recommendation.reasoning
    )
    return dg.MaterializeResult(metadata=_metadata(done))


def _metadata(done: Rebalancing) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "at": dg.MetadataValue.timestamp(done.at),
        "triggers": dg.MetadataValue.md(
            "\n".join(f"* {each.note}" for each in done.recommendation.triggers) or "none"
        ),
        "left_out": ", ".join(done.left_out) or "nothing",
        "order": f"{done.order.status}" if done.order else "none",
    }
    if isinstance(done.recommendation, NoRebalance):
        return shown | {"recommendation": f"none: {done.recommendation.reason}"}
    best = done.recommendation
    more: dict[str, Any] = readable(
        {
            "recommendation": best.reasoning,
            "source_asset": best.source_asset,
            "target_asset": best.target_asset,
            "amount": f"{float(best.amount):.8g}",
            "priority": best.priority.value,
            "refused": "" if done.receipt is None or done.order else done.receipt["outcome"],
            "decision_id": done.receipt["decision_id"] if done.receipt else "none",
        }
    )
    return shown | more
