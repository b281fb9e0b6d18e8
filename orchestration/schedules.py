"""Schedules. All are off until a person switches them on in the UI."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from assets.partitions import PAIRS, Span, all_pairs, pair_month_key
from orchestration.jobs import (
    daily_parity,
    daily_performance,
    daily_portfolio,
    history,
    judging,
    learning,
    market_setup,
    news_of_days,
    order_books,
    promotion,
    rebalance,
)
from orchestration.tape_compaction import tape_compaction
from trading.market import Pair, Timeframe, month_start

HOUR = dt.timedelta(hours=1)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
Requests = dg.RunRequest | dg.SkipReason | Sequence[dg.RunRequest]
Body = Callable[[dg.ScheduleEvaluationContext], Requests]


def schedules(timeframe: Timeframe, span: Span, reads_feeds: bool = False) -> list[dg.ScheduleDefinition]:
    """Return all schedules for a dataset of these candles; those of an ended dataset say so instead of running."""
    return [
        nightly_instruments,
        nightly_tape_compaction,
        monthly_promotion,
        *_market_schedules(timeframe, span, reads_feeds),
        *_model_schedules(span),
        *_account_schedules(span),
    ]


def _schedule(job: Any, cron: str, description: str) -> Callable[[Body], dg.ScheduleDefinition]:
    return dg.schedule(
        job=job,
        cron_schedule=cron,
        description=description,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )


@_schedule(market_setup, "2 0 * * *", "Every night: increments, minimums and fees of every pair.")
def nightly_instruments(context: dg.ScheduleEvaluationContext) -> Requests:
    return dg.RunRequest()


@_schedule(tape_compaction, "30 0 * * *", "Every night: one file of each finished day of the stream's tape.")
def nightly_tape_compaction(context: dg.ScheduleEvaluationContext) -> Requests:
    return dg.RunRequest()


@_schedule(
    promotion,
    "0 6 2 * *",
    "On the second of every month: the gate judges the newest folds of every pair.",
)
def monthly_promotion(context: dg.ScheduleEvaluationContext) -> Requests:
    month = f"{context.scheduled_execution_time:%Y-%m}"
    return [dg.RunRequest(run_key=f"{month}|{pair.key}", partition_key=pair.key) for pair in _pairs(context)]


def _market_schedules(timeframe: Timeframe, span: Span, reads_feeds: bool) -> list[dg.ScheduleDefinition]:
    @_schedule(
        history,
        candle_cron(timeframe),
        f"After each candle of {timeframe.value}: candles and features of the running month.",
    )
    def history_after_each_candle(context: dg.ScheduleEvaluationContext) -> Requests:
        """Refresh the month in which the newest candle opened: just after midnight, the one that has ended."""
        month = (context.scheduled_execution_time - timeframe.duration).date().replace(day=1)
        if span.end and month_start(month) >= span.end:
            return dg.SkipReason(f"the dataset ends at {span.end:%Y-%m-%d %H:%M} UTC")
        return _unless_running(context, history.name, _months(context, month))

    @_schedule(
        order_books,
        "25 * * * *",
        "Every hour, where the stream records: the order book of the running month.",
    )
    def hourly_order_books(context: dg.ScheduleEvaluationContext) -> Requests:
        day = (context.scheduled_execution_time - HOUR).date()
        return _ended(span, day) or _unless_running(
            context, order_books.name, _months(context, day.replace(day=1))
        )

    @_schedule(news_of_days, "10 * * * *", "Every hour: articles, vectors and tones of the running day.")
    def hourly_news(context: dg.ScheduleEvaluationContext) -> Requests:
        """Ask for the day of the hour that has ended; what feeds have becomes known now, on the day of now."""
        day = (context.scheduled_execution_time - (dt.timedelta(0) if reads_feeds else HOUR)).date()
        return _ended(span, day) or _unless_running(
            context, news_of_days.name, dg.RunRequest(partition_key=str(day))
        )

    return [history_after_each_candle, hourly_order_books, hourly_news]


def _model_schedules(span: Span) -> list[dg.ScheduleDefinition]:
    @_schedule(
        learning,
        "30 1 2 * *",
        "On the second of every month: train and test the fold whose month has ended.",
    )
    def monthly_retraining(context: dg.ScheduleEvaluationContext) -> Requests:
        last = context.scheduled_execution_time.date().replace(day=1) - dt.timedelta(days=1)
        keys = [pair_month_key(pair, last.replace(day=1)) for pair in _pairs(context)]
        return _ended(span, last) or [dg.RunRequest(run_key=key, partition_key=key) for key in keys]

    @_schedule(
        daily_performance, "15 1 * * *", "Every night: scores of every model on the day that has ended."
    )
    def nightly_performance(context: dg.ScheduleEvaluationContext) -> Requests:
        day = context.scheduled_execution_time.date() - dt.timedelta(days=1)
        return _ended(span, day) or dg.RunRequest(partition_key=day.isoformat())

    return [monthly_retraining, nightly_performance]


def _account_schedules(span: Span) -> list[dg.ScheduleDefinition]:
    @_schedule(daily_portfolio, "20 * * * *", "Every hour: equity, allocation and profit of the running day.")
    def hourly_portfolio(context: dg.ScheduleEvaluationContext) -> Requests:
        """Value the day in which the hour that has ended lies: just after midnight, yesterday for the last time."""
        day = (context.scheduled_execution_time - HOUR).date()
        return _ended(span, day) or dg.RunRequest(partition_key=str(day))

    @_schedule(rebalance, "40 * * * *", "Every hour: the next trade towards the target shares, if any.")
    def hourly_rebalancing(context: dg.ScheduleEvaluationContext) -> Requests:
        return _ended(span, context.scheduled_execution_time.date()) or dg.RunRequest()

    @_schedule(daily_parity, "30 1 * * *", "Every night: the day that has ended against its back-test.")
    def nightly_parity(context: dg.ScheduleEvaluationContext) -> Requests:
        day = context.scheduled_execution_time.date() - dt.timedelta(days=1)
        return _ended(span, day) or dg.RunRequest(partition_key=day.isoformat())

    @_schedule(judging, "45 1 * * *", "Every night: what every recorded vote was worth.")
    def nightly_judging(context: dg.ScheduleEvaluationContext) -> Requests:
        return _ended(span, context.scheduled_execution_time.date()) or dg.RunRequest()

    return [hourly_portfolio, hourly_rebalancing, nightly_parity, nightly_judging]


def _ended(span: Span, day: dt.date) -> dg.SkipReason | None:
    if span.end is None or day < span.end.date():
        return None
    return dg.SkipReason(f"the dataset ends at {span.end:%Y-%m-%d %H:%M} UTC: nothing is known of {day}")


def candle_cron(timeframe: Timeframe) -> str:
    """Return when a candle has closed: of minutes at once, of hours and days five minutes later."""
    minutes = timeframe.duration // dt.timedelta(minutes=1)
    if minutes < 60:
        return f"*/{minutes} * * * *"
    return {1: "5 * * * *", 24: "5 0 * * *"}.get(minutes // 60, f"5 */{minutes // 60} * * *")


def _months(context: dg.ScheduleEvaluationContext, month: dt.date) -> dg.RunRequest:
    first, last = all_pairs(context.instance, month, month)
    return dg.RunRequest(
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    )


def _unless_running(context: dg.ScheduleEvaluationContext, job: str, request: dg.RunRequest) -> Requests:
    """Ask for no second run while one waits or runs: what it misses, the next one brings."""
    if context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
        return dg.SkipReason(f"the run of {job} before has not ended yet")
    return request


def _pairs(context: dg.ScheduleEvaluationContext) -> list[Pair]:
    return [Pair.parse(key) for key in context.instance.get_dynamic_partitions(str(PAIRS.name))]
