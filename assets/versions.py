"""Data versions: the digest of what came from outside, and of the inputs of what was computed from it.

Dagster gives all partitions of one run the same version (its issues 18649 and 34013): a month that was stored with
eleven others would differ from the same month stored alone, and what depends on it would look stale. The events of
`partition_events` have a version each (docs/decisions/0014).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.utils.multi import (
    MultiPartitionKey,
    get_tags_from_multi_partition_key,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import (
    DagsterEvent,
    DagsterEventBatchMetadata,
    DagsterEventType,
    generate_event_batch_id,
)
from dagster._core.execution.plan.execute_step import _build_data_version_tags, _get_input_provenance_data

ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """What one partition's materialisation says."""

    version: dg.DataVersion
    metadata: Mapping[str, Any]


def content_version(table: pl.DataFrame) -> dg.DataVersion:
    """Return the digest of the table's columns and rows; floats count to their last digit."""
    return digest(table.columns, table.write_csv(include_header=False))


def digest(*parts: object) -> dg.DataVersion:
    return dg.DataVersion(hashlib.sha256(repr(parts).encode()).hexdigest())


def input_versions(
    context: dg.AssetExecutionContext, keys: Iterable[str], *settings: object
) -> dict[str, dg.DataVersion]:
    """Return each partition's digest of the code version, the versions of its inputs and the settings it used."""
    layer, instance = context.job_def.asset_layer, context.instance
    node = layer.get(context.asset_key)
    with partition_loading_context(dynamic_partitions_store=instance):
        inputs = {key: _upstream_partitions(context, key) for key in keys}
    known = {
        parent: instance.event_log_storage.get_latest_tags_by_partition(
            parent,
            DagsterEventType.ASSET_MATERIALIZATION,
            [DATA_VERSION_TAG],
            sorted({partition for parents in inputs.values() for partition in parents.get(parent, ())}),
        )
        for parent in node.parent_keys
        if layer.get(parent).is_partitioned
    }
    return {
        key: digest(
            node.code_version,
            *settings,
            *(
                (
                    parent.to_user_string(),
                    partition,
                    known[parent].get(partition, {}).get(DATA_VERSION_TAG, ABSENT),
                )
                for parent, partitions in sorted(parents.items())
                for partition in sorted(partitions)
            ),
        )
        for key, parents in inputs.items()
    }


def _upstream_partitions(context: dg.AssetExecutionContext, key: str) -> dict[dg.AssetKey, Sequence[str]]:
    """Return the partitions of each partitioned input that this partition is computed from."""
    graph = context.job_def.asset_layer.asset_graph
    return {
        parent: list(
            graph.get_parent_partition_keys_for_child(
                key, parent, context.asset_key
            ).partitions_subset.get_partition_keys()
        )
        for parent in graph.get(context.asset_key).parent_keys
        if graph.get(parent).is_partitioned
    }


def partition_events(
    context: dg.AssetExecutionContext, reports: Mapping[str, PartitionReport]
) -> Iterator[DagsterEvent | dg.MaterializeResult[None]]:
    """Yield a materialisation per reported partition, written in one batch, instead of those that Dagster makes.

    A partition of the run without a report counts as not materialised.
    """
    step = context.op_execution_context.get_step_execution_context()
    code_version = step.job_def.asset_layer.get(context.asset_key).code_version or ""
    inputs = _get_input_provenance_data(context.asset_key, step)
    batch = generate_event_batch_id()  # type: ignore[no-untyped-call]
    keys = [key for key in context.partition_keys if key in reports]
    for key in keys:
        report = reports[key]
        tags = _build_data_version_tags(
            report.version, code_version, inputs, data_version_is_user_provided=True
        )
        if isinstance(key, MultiPartitionKey):
            tags |= get_tags_from_multi_partition_key(key)
        event = dg.AssetMaterialization(
            context.asset_key, metadata=dict(report.metadata), partition=key, tags=tags
        )
        yield DagsterEvent.asset_materialization(
            step, event, DagsterEventBatchMetadata(batch, is_end=key == keys[-1])
        )
    yield dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
