"""How tests run assets: over a range of partitions, and one check alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg


def no_arrival() -> None:
    """Candles of a test are history: nobody noted when they arrived."""


def partition_range(first: str, last: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def check_alone(check: Any, assets: Sequence[Any], resources: Mapping[str, Any]) -> dg.AssetCheckEvaluation:
    """Run one check alone, as the button in the UI does: over everything that is stored."""
    [key] = check.check_keys
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pair", [pair.key for pair in resources["universe"].pairs])
        result = dg.materialize(
            [*assets, check],
            instance=instance,
            selection=dg.AssetSelection.checks(key),
            resources=resources,
            raise_on_error=False,
        )
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
