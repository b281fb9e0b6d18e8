"""Schedules. All are off until a person switches them on in the UI."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from assets.partitions import PAIRS, all_pairs, pair_month_key
from orchestration.jobs import daily_performance, history, learning, promotion
from trading.market import Pair


def _pairs(context: dg.ScheduleEvaluationContext) -> list[Pair]:
    return [Pair.parse(key) for key in context.instance.get_dynamic_partitions(str(PAIRS.name))]


@dg.schedule(job=history, cron_schedule="5 * * * *", default_status=dg.DefaultScheduleStatus.STOPPED)
def hourly_history(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Refresh the month that an hour ago lies in: just after midnight, the one that has ended."""
    month = (context.scheduled_execution_time - dt.timedelta(hours=1)).date().replace(day=1)
    first, last = all_pairs(context.instance, month, month)
    return dg.RunRequest(
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    )


@dg.schedule(job=learning, cron_schedule="30 1 2 * *", default_status=dg.DefaultScheduleStatus.STOPPED)
def monthly_retraining(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Train the fold whose test month has just ended, on the second day of every month: its results are complete."""
    last = context.scheduled_execution_time.date().replace(day=1) - dt.timedelta(days=1)
    for pair in _pairs(context):
        key = pair_month_key(pair, last.replace(day=1))
        yield dg.RunRequest(run_key=key, partition_key=key)


@dg.schedule(job=promotion, cron_schedule="0 6 2 * *", default_status=dg.DefaultScheduleStatus.STOPPED)
def monthly_promotion(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Run the promotion gate, once the month's folds are there."""
    for pair in _pairs(context):
        month = f"{context.scheduled_execution_time:%Y-%m}"
        yield dg.RunRequest(run_key=f"{month}|{pair.key}", partition_key=pair.key)


@dg.schedule(
    job=daily_performance, cron_schedule="15 1 * * *", default_status=dg.DefaultScheduleStatus.STOPPED
)
def nightly_performance(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Score every model on the day that has ended."""
    day = context.scheduled_execution_time.date() - dt.timedelta(days=1)
    return dg.RunRequest(partition_key=day.isoformat())


SCHEDULES = [hourly_history, monthly_retraining, monthly_promotion, nightly_performance]
