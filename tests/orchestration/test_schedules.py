"""Schedules as the daemon evaluates them: what would run, for which partitions."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.partitions import PAIR_MONTHS
from orchestration.definitions import definitions
from orchestration.schedules import SCHEDULES
from orchestration.settings import load_settings
from trading.errors import NotStored

REPOSITORY = definitions(load_settings({})).get_repository_def()

PAIRS = ["BTC-USDT", "XRP-USDT", "XRP-BTC"]
JUST_AFTER_MIDNIGHT = datetime(2024, 5, 1, 0, 5, tzinfo=UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:  # a schedule finds its instance by reference
        yield made


def requests(name: str, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    [schedule] = [each for each in SCHEDULES if each.name == name]
    with dg.build_schedule_context(  # left properly: its instance stays the process's current one otherwise
        instance=instance,
        scheduled_execution_time=JUST_AFTER_MIDNIGHT,
        repository_def=REPOSITORY,
    ) as context:
        return list(schedule.evaluate_tick(context).run_requests or [])


def test_one_run_refreshes_every_pair_of_the_month_that_has_just_ended(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("pair", PAIRS)
    [request] = requests("hourly_history", instance)
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
        requests("hourly_history", instance)
    assert isinstance(refused.value.__cause__, NotStored)
    assert "materialise `instruments`" in str(refused.value.__cause__)


@pytest.mark.filterwarnings(
    "ignore:Non-compliant tag keys"
)  # Dagster's own tags of two-dimensional partitions
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
