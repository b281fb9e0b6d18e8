"""What a check reads: the partitions of the run that it belongs to, or everything stored when it runs alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg

from assets.partitions import days, pair_months
from trading.market import EPOCH, Pair, Universe, month_start, next_month
from trading.ports import TableStore

FAR = datetime(9000, 1, 1, tzinfo=UTC)
PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The months of one pair that a check reads, from the first to the last."""

    pair: Pair
    first: date
    last: date

    @property
    def span(self) -> tuple[datetime, datetime]:
        return month_start(self.first), month_start(next_month(self.last))


def run_partitions(context: dg.AssetCheckExecutionContext) -> Sequence[str] | None:
    """Return the keys of the partitions that the run materialises; None for a check that runs alone."""
    if not any(tag in context.run.tags for tag in PARTITION_TAGS):
        return None
    return context.op_execution_context.partition_keys


def run_stretches(
    context: dg.AssetCheckExecutionContext, universe: Universe, store: TableStore
) -> list[Stretch]:
    """Return for each pair the run's months that are stored."""
    keys = run_partitions(context)
    wanted = None if keys is None else {(pair, month) for _, pair, month in pair_months(keys)}
    found = []
    for pair in universe.pairs:
        months = [month for month in store.months(pair) if wanted is None or (pair, month) in wanted]
        if months:
            found.append(Stretch(pair, months[0], months[-1]))
    return found


def run_pairs(context: dg.AssetCheckExecutionContext, universe: Universe) -> list[Pair]:
    """Return the pairs of a run whose partitions are pairs; all of them for a check that runs alone."""
    keys = run_partitions(context)
    return list(universe.pairs) if keys is None else [Pair.parse(key) for key in keys]


def run_days(context: dg.AssetCheckExecutionContext) -> tuple[datetime, datetime]:
    """Return start and end of the run's days; all of time for a check that runs alone."""
    keys = run_partitions(context)
    return (EPOCH, FAR) if keys is None else days(keys)


def verdict(faults: Mapping[str, object], **counts: int) -> dg.AssetCheckResult:
    """Pass without a fault; the faults show by what they were found in, beside how many were looked at."""
    found = {name: fault for name, fault in faults.items() if fault}
    return dg.AssetCheckResult(passed=not found, metadata={"faults": dg.MetadataValue.json(found), **counts})


def broken(rules: Mapping[str, bool]) -> list[str]:
    """Name the faults that hold."""
    return [fault for fault, holds in rules.items() if holds]
