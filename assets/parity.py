"""Live against its back-test, day by day: what each earned, and why they differ."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from assets.decisions import decision
from assets.features import features
from assets.market import OHLCV
from assets.metadata_numbers import readable
from assets.metadata_tables import shown_table
from assets.partitions import DAYS, MONTH_OF_DAY
from assets.policies import champion_policy
from ml.decision.clock import Clock
from ml.parity.auditor import ParityAuditor
from trading.parity import Kind, ParityReport
from trading.parity.tables import CAUSE_COLUMNS, cause_rows, parts_table

SHOWN_CAUSES = 50
CHECK = "unexplained_is_zero"


@dg.asset(
    partitions_def=DAYS,
    group_name="trading",
    kinds={"postgres", "numba"},
    owners=["team:trading"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[
        dg.AssetDep(decision, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(OHLCV, partition_mapping=MONTH_OF_DAY),
        dg.AssetDep(features, partition_mapping=MONTH_OF_DAY),
        dg.AssetDep(champion_policy, partition_mapping=dg.AllPartitionMapping()),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="parity_report",
            description="Every part of the difference between live and back-test has a cause that is recorded.",
        )
    ],
)
def parity_report(
    context: dg.AssetExecutionContext,
    parity_auditor: dg.ResourceParam[ParityAuditor],
    clock: dg.ResourceParam[Clock],
) -> Iterator[dg.MaterializeResult[None]]:
    """Back-test a closed day from what is stored now, and attribute the difference to live: eleven kinds that add up.

    Amounts are in the account's quote, at the prices with which the day ended.
    """
    report = parity_auditor.audit(date.fromisoformat(context.partition_key), clock().at)
    context.log.info(report.headline)
    unexplained = [(pair, cause) for pair, cause in report.causes if cause.kind is Kind.UNEXPLAINED]
    yield dg.MaterializeResult(
        metadata=_metadata(report),
        check_results=[
            dg.AssetCheckResult(
                check_name=CHECK,
                passed=report.is_explained,
                metadata={
                    "unexplained": float(report.unexplained),
                    "left over": float(report.left_over),
                    "causes": dg.MetadataValue.json(
                        [f"{pair}: {cause.words}" for pair, cause in unexplained]
                    ),
                },
            )
        ],
    )


def _metadata(report: ParityReport) -> dict[str, Any]:
    parts = {kind.replace(" ", "_"): float(amount) for kind, amount in report.parts.items()}
    moved = ("opening_equity", "closing_equity", "holding", "transfers", "conversions")
    return {
        "summary": report.headline,
        **readable({name: float(getattr(report, name)) for name in ("live", "backtest", "difference")}),
        **readable({name.lower(): amount for name, amount in parts.items()}),
        **readable({name: float(getattr(report, name)) for name in moved}),
        "parts": shown_table(*parts_table(report)),
        "causes": shown_table(CAUSE_COLUMNS, cause_rows(report)[:SHOWN_CAUSES]),
        "notes": dg.MetadataValue.json(list(report.notes)),
    }
