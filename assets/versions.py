"""Data versions: the digest of what came from outside, and of the inputs of what was computed from it.

Dagster gives all partitions of one run the same version (its issues 18649 and 34013): a month that was stored with
eleven others would differ from the same month stored alone, and what depends on it would look stale. The events of
`partition_events` have a version each (docs/decisions/0014).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.job.asset_job import JobScopedAssetGraph
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


# Per partitioned input, the version of each partition; ABSENT.
Inputs = Mapping[dg.AssetKey, Mapping[str, str]]


def read_inputs(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, asset: dg.AssetKey, keys: Iterable[str]
) -> dict[str, Inputs]:
    """Read for each partition of `asset` the versions that its partitioned inputs have now."""
    graph, instance = _whole_graph(context), context.instance
    with partition_loading_context(dynamic_partitions_store=instance):
        wanted = {key: _upstream_partitions(graph, asset, key) for key in keys}
    known = {
        parent: stored_versions(
            instance, parent, {partition for parents in wanted.values() for partition in parents[parent]}
        )
        for parent in graph.get(asset).parent_keys
        if graph.get(parent).is_partitioned
    }
    return {
        key: {
            parent: {partition: known[parent].get(partition, ABSENT) for partition in partitions}
            for parent, partitions in parents.items()
        }
        for key, parents in wanted.items()
    }


def _whole_graph(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> AssetGraph:
    """Return the graph that the run's job was cut out of: a job of a check alone knows no inputs of its asset."""
    graph = context.op_execution_context.job_def.asset_layer.asset_graph
    while isinstance(graph, JobScopedAssetGraph):
        graph = graph.source_asset_graph
    return graph


def stored_versions(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Iterable[str], before: int | None = None
) -> dict[str, str]:
    """Read the newest data version of each partition that was materialised; `before`: an event's id."""
    found = instance.event_log_storage.get_latest_tags_by_partition(
        asset,
        DagsterEventType.ASSET_MATERIALIZATION,
        [DATA_VERSION_TAG],
        sorted(partitions),
        before_cursor=before,
    )
    return {
        partition: tags[DATA_VERSION_TAG] for partition, tags in found.items() if DATA_VERSION_TAG in tags
    }


def input_versions(
    context: dg.AssetExecutionContext, keys: Iterable[str], *settings: object
) -> dict[str, dg.DataVersion]:
    """Return each partition's digest of the code version, the versions of its inputs and the settings it used."""
    inputs = read_inputs(context, context.asset_key, keys)
    return {key: version_of(context, inputs[key], *settings) for key in inputs}


def version_of(context: dg.AssetExecutionContext, inputs: Inputs, *settings: object) -> dg.DataVersion:
    """Return the digest of the asset's code version, the settings it used and the versions of its inputs."""
    return digest(
        context.job_def.asset_layer.get(context.asset_key).code_version,
        *settings,
        *(
            (parent.to_user_string(), partition, version)
            for parent, partitions in sorted(inputs.items())
            for partition, version in sorted(partitions.items())
        ),
    )


def _upstream_partitions(graph: AssetGraph, asset: dg.AssetKey, key: str) -> dict[dg.AssetKey, list[str]]:
    """Return the partitions of each partitioned input that this partition is computed from."""
    return {
        parent: list(
            graph.get_parent_partition_keys_for_child(
                key, parent, asset
            ).partitions_subset.get_partition_keys()
        )
        for parent in graph.get(asset).parent_keys
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
