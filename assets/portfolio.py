"""What the account is worth: equity, allocation and drawdown at the end of each day."""

from datetime import timedelta

import dagster as dg

from assets.decisions import decision
from assets.market import ohlcv
from assets.partitions import DAYS, days
from assets.plots import line_plot
from ml.knowledge import Knowledge
from trading.ports import Journal

RESOLUTION = timedelta(microseconds=1)  # times are counted in microseconds: the day's last moment


@dg.asset(
    partitions_def=DAYS,
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[
        dg.AssetDep(decision, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(ohlcv, partition_mapping=dg.AllPartitionMapping()),
    ],
)
def portfolio_snapshots(
    context: dg.AssetExecutionContext,
    knowledge: dg.ResourceParam[Knowledge],
    journal: dg.ResourceParam[Journal],
) -> dg.MaterializeResult[None]:
    """Balances priced with the last closes known by the end of the day, or by the newest candle while the day runs."""
    start, end = days([context.partition_key])
    newest = max(knowledge.newest_close(pair) for pair in knowledge.universe.pairs)
    at = max(start, min(end - RESOLUTION, newest))
    snapshot = knowledge.snapshot(at)
    name = knowledge.account.name
    journal.save_snapshot(name, at.date(), snapshot)
    history = journal.snapshots(name)
    context.log.info(f"{name}: equity {snapshot['equity']:.2f} {knowledge.account.quote} on {at:%Y-%m-%d}")
    return dg.MaterializeResult(
        metadata={
            "equity": float(snapshot["equity"]),
            "drawdown": 1 - float(snapshot["equity"]) / float(snapshot["peak_equity"]),
            "allocation": dg.MetadataValue.json(snapshot["allocation"]),
            "equity_by_day": line_plot(
                f"Equity of {name}",
                [row["day"] for row in history],
                {"equity": [float(row["equity"]) for row in history]},
            ),
        }
    )
