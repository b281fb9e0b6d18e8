"""Partitions of assets: pairs come from the settings at run time, months and days from the dataset's span."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from ml.strategies import Strategy
from trading.errors import NotStored
from trading.market import Pair, midnight, month_of, next_month

# Dynamic, so that a pair added in marketloom.toml appears without a code change and without reading settings at import.
PAIRS = dg.DynamicPartitionsDefinition(name="pair")
CALENDAR_START = date(2012, 1, 1)  # no venue that is read has older candles
# The whole calendar: `within` narrows it to the dataset when the definitions are loaded.
# end_offset=1: the running month and day are partitions too, rewritten as they grow.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=str(CALENDAR_START), end_offset=1)
DAYS = dg.DailyPartitionsDefinition(start_date=str(CALENDAR_START), end_offset=1)
MONTHS_PER_RUN = 12  # of a backfill: a run that fails is retried without the months of all others
PAIR_MONTHS = dg.MultiPartitionsDefinition({"pair": PAIRS, "month": MONTHS})
STRATEGIES = dg.StaticPartitionsDefinition([str(strategy) for strategy in Strategy])
PAIR_STRATEGIES = dg.MultiPartitionsDefinition({"pair": PAIRS, "strategy": STRATEGIES})

# Every month of the same pair, for an asset that is cut by pair and something else.
SAME_PAIR = dg.MultiPartitionMapping(
    {"pair": dg.DimensionPartitionMapping("pair", dg.IdentityPartitionMapping())}
)
# The month that a day lies in, of every pair. A day's first and last hours also read the neighbouring month's candles.
MONTH_OF_DAY = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="month")
PAIR_OF_MONTHS = PAIR_OF_STRATEGIES = dg.MultiToSingleDimensionPartitionMapping(
    partition_dimension_name="pair"
)


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a dataset covers: its first day, and the end of its last candle where there is one."""

    first: date
    end: datetime | None

    @property
    def months(self) -> dg.MonthlyPartitionsDefinition:
        """Return the months that hold a candle, or will."""
        last = self.end and next_month(month_of(self.end - timedelta(microseconds=1)))
        return dg.MonthlyPartitionsDefinition(
            start_date=str(self.first.replace(day=1)), end_date=str(last) if last else None, end_offset=1
        )

    @property
    def days(self) -> dg.DailyPartitionsDefinition:
        """Return the days of those months, the one on which the last candle closes included."""
        last = self.end and self.end.date() + timedelta(days=1)
        return dg.DailyPartitionsDefinition(
            start_date=str(self.first.replace(day=1)), end_date=str(last) if last else None, end_offset=1
        )


def within(span: Span) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Return what narrows an asset's months or days to the dataset's."""
    narrowed = [
        (PAIR_MONTHS, dg.MultiPartitionsDefinition({"pair": PAIRS, "month": span.months})),
        (DAYS, span.days),
    ]

    def narrow(spec: dg.AssetSpec) -> dg.AssetSpec:
        for calendar, partitions in narrowed:
            if spec.partitions_def == calendar:
                return spec.replace_attributes(partitions_def=partitions)
        return spec

    return narrow


def earlier_months(count: int, up_to: int = -1) -> dg.MultiPartitionMapping:
    """Map a month to the same pair's months from `count` before to `up_to` (0 = the month itself)."""
    return dg.MultiPartitionMapping(
        {
            "pair": dg.DimensionPartitionMapping("pair", dg.IdentityPartitionMapping()),
            "month": dg.DimensionPartitionMapping(
                "month",
                dg.TimeWindowPartitionMapping(
                    start_offset=-count, end_offset=up_to, allow_nonexistent_upstream_partitions=True
                ),
            ),
        }
    )


def pair_month_key(pair: Pair, month: date) -> str:
    return f"{month:%Y-%m-%d}|{pair.key}"


def all_pairs(instance: dg.DagsterInstance, first: date, last: date) -> tuple[str, str]:
    """Return the first and last key of a range that holds every pair from month to month.

    Some features compare pairs, so candles of all of them come first: one run, not one for each.
    """
    pairs = instance.get_dynamic_partitions(str(PAIRS.name))
    if not pairs:
        raise NotStored("no pair is known yet: materialise `instruments` first")
    return f"{first:%Y-%m-%d}|{pairs[0]}", f"{last:%Y-%m-%d}|{pairs[-1]}"


def pair_months(keys: Iterable[str]) -> list[tuple[str, Pair, date]]:
    """Parse keys to (partition key, pair, month), sorted by pair and month."""
    split = [(key, *key.split("|")) for key in keys]
    return sorted(
        ((key, Pair.parse(pair), date.fromisoformat(month)) for key, month, pair in split),
        key=lambda part: (part[1], part[2]),
    )


def days(keys: Sequence[str]) -> tuple[datetime, datetime]:
    """Return the start of the first day and the end of the last (exclusive), UTC."""
    first, last = date.fromisoformat(min(keys)), date.fromisoformat(max(keys))
    return midnight(first), midnight(last + timedelta(days=1))
