"""Says whether a partition was computed from what its inputs are now: kept with it, and compared by a check.

Dagster's own staleness follows no arrow to 100 upstream partitions or more, and none to all days of an asset
(`SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD` and `_get_partition_dependencies` in its `data_version.py`): what
depends on every month of a pair looks fresh for ever once the pair has 100 of them. So the versions of the inputs are
kept in the materialisation, as fingerprints, and `inputs_are_current` compares them with those of today.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.events import DagsterEventType

from assets.check_scope import run_partitions
from assets.versions import ABSENT, Inputs, read_inputs, stored_versions

INPUTS: Final = "inputs"
MAX_FINGERPRINTS = 256  # per input: about 8 KB in the event log. More are kept per year, then all as one
MAX_NAMES = 12  # of stale inputs in a message
_DATE = re.compile(r"(\d{4})-\d\d-\d\d")
_GROUPS: Mapping[str, Callable[[str], str]] = {
    "partition": lambda key: key,
    "year": lambda key: _DATE.sub(r"\1", key),
    "everything": lambda key: "all",
}


def inputs_metadata(inputs: Inputs) -> dict[str, Any]:
    """Return what a materialisation keeps of the versions it was computed from: a bounded number of fingerprints."""
    kept = {parent.to_user_string(): _kept(versions) for parent, versions in sorted(inputs.items())}
    return {INPUTS: dg.MetadataValue.json(kept)}


def _kept(versions: Mapping[str, str]) -> dict[str, Any]:
    for by in _GROUPS:
        if len(prints := _fingerprints(versions, by)) <= MAX_FINGERPRINTS:
            break
    return {"by": by, "fingerprints": prints}


def _fingerprints(versions: Mapping[str, str], by: str) -> dict[str, str]:
    """Return a fingerprint per partition, or group of partitions, that has a version."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key in sorted(key for key, version in versions.items() if version != ABSENT):
        groups.setdefault(_GROUPS[by](key), []).append((key, versions[key]))
    return {name: hashlib.sha256(repr(members).encode()).hexdigest()[:8] for name, members in groups.items()}


def inputs_are_current(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Build the check of an asset whose materialisations keep `inputs_metadata`."""

    @dg.asset_check(
        asset=asset,
        name="inputs_are_current",
        description="Every partition was computed from the versions that its inputs have now; names what changed.",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """Warn: what is stale was right when it was computed, and a person or a schedule decides when to repeat it."""
        records = newest_materialisations(context.instance, asset.key, run_partitions(context))
        with partition_loading_context(dynamic_partitions_store=context.instance):
            known = set(asset.partitions_def.get_partition_keys()) if asset.partitions_def else set()
        inputs = read_inputs(context, asset.key, [key for key in records if key in known])
        stale = {
            key: found
            for key, now in inputs.items()
            if (found := _stale(context.instance, records[key], now))
        }
        return dg.AssetCheckResult(
            passed=not stale,
            severity=dg.AssetCheckSeverity.WARN,
            description=_message(asset.key, stale),
            metadata={
                "partitions": len(inputs),
                "stale": len(stale),
                "stale_inputs": dg.MetadataValue.json(
                    {key: stale[key] for key in sorted(stale)[-MAX_NAMES:]}  # the newest
                ),
            },
        )

    return check


def newest_materialisations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Iterable[str] | None
) -> dict[str, dg.EventLogRecord]:
    """Read the newest materialisation of each partition, None: of all that there are, in two queries."""
    wanted = None if partitions is None else set(partitions)
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        asset, DagsterEventType.ASSET_MATERIALIZATION, wanted
    )
    if not newest:
        return {}
    only = dg.AssetRecordsFilter(asset_key=asset, storage_ids=sorted(newest.values()))
    records = instance.fetch_materializations(only, limit=len(newest)).records
    return {str(record.partition_key): record for record in records}


def _stale(instance: dg.DagsterInstance, record: dg.EventLogRecord, now: Inputs) -> dict[str, list[str]]:
    """Return, per input, the partitions whose version is not the one that was used."""
    assert record.asset_materialization is not None
    value = record.asset_materialization.metadata.get(INPUTS)
    if not isinstance(value, dg.JsonMetadataValue) or not isinstance(value.data, Mapping):
        return {"all": ["not kept by the version that computed it"]}
    found = {}
    for parent, versions in now.items():
        kept = value.data.get(parent.to_user_string())
        if kept is None:
            found[parent.to_user_string()] = ["a new input"]
        elif differing := _differing(kept, versions):
            exact = _changed_since(instance, parent, versions, record.storage_id, kept["by"], differing)
            found[parent.to_user_string()] = _shortened(exact or differing)
    return found


def _differing(kept: Mapping[str, Any], versions: Mapping[str, str]) -> list[str]:
    then, now = kept["fingerprints"], _fingerprints(versions, kept["by"])
    return [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]


def _changed_since(
    instance: dg.DagsterInstance,
    parent: dg.AssetKey,
    versions: Mapping[str, str],
    storage_id: int,
    by: str,
    differing: Sequence[str],
) -> list[str]:
    """Name the partitions within the differing groups that have changed since the event, as the event log has them."""
    if by == "partition":
        return []
    members = [key for key in versions if _GROUPS[by](key) in differing]
    before = stored_versions(instance, parent, members, before=storage_id)
    return sorted(key for key in members if before.get(key, ABSENT) != versions[key])


def _shortened(names: Sequence[str]) -> list[str]:
    more = len(names) - MAX_NAMES
    return list(names) if more <= 0 else [*names[:MAX_NAMES], f"and {more} more"]


def _message(asset: dg.AssetKey, stale: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    if not stale:
        return "every partition was computed from what its inputs are now"
    key = max(stale)
    changed = "; ".join(f"{parent}: {', '.join(names)}" for parent, names in stale[key].items())
    others = f", as have those of {len(stale) - 1} other partitions" if len(stale) > 1 else ""
    return (
        f"inputs of {asset.to_user_string()} {key} have changed since it was computed ({changed}){others}: "
        "materialise what is stale again"
    )
