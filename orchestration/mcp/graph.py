"""What Dagster's storage says of the asset graph: parents, newest materializations, newest results of checks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import extract_data_version_from_entry

from orchestration.settings_schema import Settings
from orchestration.system import SERVING

MAX_DESCRIPTION = 300


@contextmanager
def reading_instance() -> Iterator[dg.DagsterInstance]:
    """Open the instance of DAGSTER_HOME; nothing is recovered or started."""
    instance = dg.DagsterInstance.from_config(str(Path(os.environ["DAGSTER_HOME"])), SERVING)
    try:
        yield instance
    finally:
        instance.dispose()


def asset_graph(settings: Settings) -> BaseAssetGraph[Any]:
    """Return the graph of the settings."""
    from orchestration.definitions import definitions  # loads every asset, which takes a second

    return definitions(settings).resolve_asset_graph()


def graph_facts(settings: Settings) -> dict[str, Any]:
    """List every asset with its parents."""
    graph = asset_graph(settings)
    return {
        "assets": {
            key.to_user_string(): {
                "parents": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
                "group": graph.get(key).group_name,
                "description": (graph.get(key).description or "")[:MAX_DESCRIPTION],
            }
            for key in sorted(graph.get_all_asset_keys(), key=lambda each: each.to_user_string())
        }
    }


def ancestors(settings: Settings, asset: str) -> dict[str, dict[str, Any]]:
    """Return everything that the asset is made from, with its parents and its newest materialization."""
    graph, waiting, found = asset_graph(settings), [dg.AssetKey(asset)], dict[str, dict[str, Any]]()
    with reading_instance() as instance:
        while waiting:
            key = waiting.pop()
            if key.to_user_string() in found:
                continue
            parents = sorted(graph.get(key).parent_keys, key=lambda each: each.to_user_string())
            found[key.to_user_string()] = {
                "parents": [each.to_user_string() for each in parents],
                "newest": _newest(instance, key),
            }
            waiting += parents
    return found


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any] | None:
    entry = instance.get_latest_materialization_event(key)
    if entry is None:
        return None
    version = extract_data_version_from_entry(entry)
    return {
        "at": datetime.fromtimestamp(entry.timestamp, UTC),
        "run_id": entry.run_id,
        "partition": entry.asset_materialization and entry.asset_materialization.partition,
        "data_version": version.value if version else None,
    }


def newest_checks(settings: Settings) -> list[dict[str, Any]]:
    """List every check that has been made with its newest result; failed ones first."""
    keys = sorted(asset_graph(settings).asset_check_keys, key=lambda each: each.to_user_string())
    with reading_instance() as instance:
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    rows = []
    for key in keys:
        evaluation = (record := records.get(key)) and record.event and record.event.asset_check_evaluation
        if record and evaluation:
            rows.append(
                {
                    "asset": key.asset_key.to_user_string(),
                    "check": key.name,
                    "passed": evaluation.passed,
                    "severity": evaluation.severity.value,
                    "at": datetime.fromtimestamp(record.create_timestamp, UTC),
                }
            )
    return sorted(rows, key=lambda row: bool(row["passed"]))
