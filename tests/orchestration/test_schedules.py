"""Schedules as the daemon evaluates them: what would run, for which partitions."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest

from assets.partitions import PAIR_MONTHS, Span
from orchestration.definitions import definitions
from orchestration.schedules import candle_cron, schedules
from orchestration.settings import load_settings
from trading.errors import NotStored
from trading.market import Timeframe

LIVE = Span(date(2023, 1, 1), None)
ENDED = Span(date(2023, 1, 1), datetime(2024, 4, 1, tzinfo=UTC))
REPOSITORY = definitions(load_settings({}), LIVE).get_repository_def()

PAIRS = ["BTC-USDT", "XRP-USDT", "XRP-BTC"]
JUST_AFTER_MIDNIGHT = datetime(2024, 5, 1, 0, 5, tzinfo=UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:  # a schedule finds its instance by reference
        yield made


def evaluated(
    name: str,
    instance: dg.DagsterInstance,
    at: datetime = JUST_AFTER_MIDNIGHT,
    span: Span = LIVE,
    timeframe: Timeframe = Timeframe.H1,
) -> Any:
    [schedule] = [each for each in schedules(timeframe, span) if each.name == name]
    with dg.build_schedule_context(  # left properly: its instance stays the process's current one otherwise
        instance=instance,
        scheduled_execution_time=at,
        repository_def=REPOSITORY,
    ) as context:
        return schedule.evaluate_tick(context)


def requests(name: str, instance: dg.DagsterInstance, **at: Any) -> list[dg.RunRequest]:
    return list(evaluated(name, instance, **at).run_requests or [])


def test_one_run_refreshes_every_pair_of_the_month_that_has_just_ended(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    [request] = requests("history_after_each_candle", instance)
    keys = PAIR_MONTHS.get_partition_keys_in_range(
        dg.PartitionKeyRange(
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        ),
        dynamic_partitions_store=instance,
    )
    assert sorted(keys) == sorted(f"2024-04-01|{pair}" for pair in PAIRS)


def test_without_a_known_pair_the_schedule_says_what_to_materialise(instance: dg.DagsterInstance) -> None:
    with pytest.raises(dg.DagsterError) as refused:
        requests("history_after_each_candle", instance)
    assert isinstance(refused.value.__cause__, NotStored)
    assert "materialise `instruments`" in str(refused.value.__cause__)


# Dagster's own tags of two-dimensional partitions.
@pytest.mark.filterwarnings("ignore:Non-compliant tag keys")
def test_retraining_asks_for_the_fold_of_every_pair_whose_month_has_ended(
    instance: dg.DagsterInstance,
) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    assert {each.partition_key for each in requests("monthly_retraining", instance)} == {
        f"2024-04-01|{pair}" for pair in PAIRS
    }


def test_the_gate_judges_every_pair_once_a_month(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    asked = requests("monthly_promotion", instance)
    assert {each.partition_key for each in asked} == set(PAIRS)
    assert len({each.run_key for each in asked}) == len(PAIRS)


def test_the_night_scores_the_day_before(instance: dg.DagsterInstance) -> None:
    [request] = requests("nightly_performance", instance)
    assert request.partition_key == "2024-04-30"


@pytest.mark.parametrize(
    ("timeframe", "cron"),
    [
        ("1m", "*/1 * * * *"), ("5m", "*/5 * * * *"), ("15m", "*/15 * * * *"), ("30m", "*/30 * * * *"),
        ("1h", "5 * * * *"), ("4h", "5 */4 * * *"), ("1d", "5 0 * * *"),
    ],
)  # fmt: skip
def test_history_follows_the_timeframe(timeframe: str, cron: str) -> None:
    [schedule] = [
        each for each in schedules(Timeframe(timeframe), LIVE) if each.name == "history_after_each_candle"
    ]
    assert schedule.cron_schedule == candle_cron(Timeframe(timeframe)) == cron


def test_the_first_minute_of_a_month_goes_to_the_new_month(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    for minute, month in ((0, "2024-04-01"), (1, "2024-05-01")):
        at = datetime(2024, 5, 1, 0, minute, tzinfo=UTC)
        [request] = requests("history_after_each_candle", instance, at=at, timeframe=Timeframe.M1)
        assert request.tags["dagster/asset_partition_range_start"].startswith(month)


def test_history_that_is_still_running_is_not_asked_for_again(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    run = instance.create_run_for_job(REPOSITORY.get_job("history"), status=dg.DagsterRunStatus.STARTED)
    assert "has not ended yet" in evaluated("history_after_each_candle", instance).skip_message
    instance.report_run_failed(run)
    assert requests("history_after_each_candle", instance)


def test_news_and_snapshots_of_yesterday_are_completed_just_after_midnight(
    instance: dg.DagsterInstance,
) -> None:
    for name in ("hourly_news", "hourly_portfolio"):
        [midnight] = requests(name, instance)
        [later] = requests(name, instance, at=datetime(2024, 5, 1, 1, 20, tzinfo=UTC))
        assert (midnight.partition_key, later.partition_key) == ("2024-04-30", "2024-05-01")


def test_feeds_are_read_for_the_day_of_now(instance: dg.DagsterInstance) -> None:
    [schedule] = [
        each for each in schedules(Timeframe.H1, LIVE, reads_feeds=True) if each.name == "hourly_news"
    ]
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=JUST_AFTER_MIDNIGHT, repository_def=REPOSITORY
    ) as context:
        [request] = schedule.evaluate_tick(context).run_requests or []
    assert request.partition_key == "2024-05-01"


def test_a_dataset_that_has_ended_is_left_alone_with_the_reason(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    dated = (
        "history_after_each_candle",
        "hourly_news",
        "hourly_portfolio",
        "nightly_performance",
        "monthly_retraining",
    )
    for name in dated:
        assert (
            "the dataset ends at 2024-04-01 00:00 UTC" in evaluated(name, instance, span=ENDED).skip_message
        )


def test_every_schedule_says_what_it_does_and_when() -> None:
    assert all(each.description for each in schedules(Timeframe.H1, LIVE))
