"""The sensor that requests decisions for closed candles: one run for all pairs whose candles closed."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from ml.decision.decision_id import decision_id
from streaming.bus import CANDLE_CLOSED
from trading.account import Account
from trading.market import Pair, Universe
from trading.ports import Bus, Event

JOB = "decide"
PAIR_PARTITIONS = "pair"
PARTITION, RANGE_START, RANGE_END = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# A run is queued at once after it was created. One that still is not lost its daemon in between, and never starts.
MAX_UNQUEUED = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The bus offset up to which everything was read, and the candles that no run was requested for yet.

    `due` holds the close of each pair's newest candle. It lives in the cursor and is not read from the bus again: a
    pair whose run takes long loses nothing by it and holds up no other pair.
    """

    offset: int = 0
    due: Mapping[str, str] = field(default_factory=dict)  # by partition key

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Read a stored cursor; an earlier version stored the offset alone."""
        values = json.loads(text or "{}")
        return cls(values) if isinstance(values, int) else cls(**values)

    def __str__(self) -> str:
        return json.dumps({"offset": self.offset, "due": dict(sorted(self.due.items()))})

    def advance(self, events: Sequence[Event], universe: Universe) -> "Cursor":
        """Add the candles that closed; of a pair only its newest counts, older ones are out of date."""
        traded = {pair.key for pair in universe.pairs}
        due = {key: close for key, close in self.due.items() if key in traded}
        for event in events:
            key = Pair.parse(event.payload["pair"]).key
            if event.payload["dataset"] == universe.dataset and key in traded:
                due[key] = max(event.payload["close_time"], due.get(key, ""))
        return Cursor(events[-1].offset if events else self.offset, due)

    def without(self, keys: Collection[str]) -> "Cursor":
        return Cursor(self.offset, {key: close for key, close in self.due.items() if key not in keys})


def run_requests(due: Mapping[str, str], keys: Sequence[str], account: Account) -> list[dg.RunRequest]:
    """Return one request for all due pairs; several only where other pairs lie between them in `keys`.

    Dagster runs several partitions at once only as a range, and a dynamic partition's place is its age.
    """
    return [_run_request(stretch, due, account) for stretch in stretches(due, keys)]


def stretches(chosen: Collection[str], keys: Sequence[str]) -> list[list[str]]:
    """Cut the chosen keys into the longest stretches that lie side by side in `keys`."""
    found: list[list[str]] = [[]]
    for key in keys:
        if key in chosen:
            found[-1].append(key)
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def _run_request(stretch: Sequence[str], due: Mapping[str, str], account: Account) -> dg.RunRequest:
    ids = [decision_id(account.name, Pair.parse(key), datetime.fromisoformat(due[key])) for key in stretch]
    candles = {"marketloom/candle": max(due[key] for key in stretch)}
    if len(stretch) == 1:
        return dg.RunRequest(run_key=ids[0], partition_key=stretch[0], tags=candles)
    return dg.RunRequest(
        run_key=str(uuid.uuid5(uuid.NAMESPACE_OID, "|".join(ids))),
        tags={RANGE_START: stretch[0], RANGE_END: stretch[-1], **candles},
    )


def pairs_in_runs(instance: dg.DagsterInstance, keys: Sequence[str], now: datetime) -> set[str]:
    """Return the pairs that a queued, starting or running decision run is for."""
    records = instance.get_run_records(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED))
    return {
        key
        for record in records
        if not _is_lost(record, now)
        for key in _pairs_of(record.dagster_run.tags, keys)
    }


def _is_lost(record: dg.RunRecord, now: datetime) -> bool:
    not_queued = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
    return not_queued and now - record.create_timestamp > MAX_UNQUEUED


def _pairs_of(tags: Mapping[str, str], keys: Sequence[str]) -> Sequence[str]:
    first, last = (tags.get(tag, tags.get(PARTITION)) for tag in (RANGE_START, RANGE_END))
    if first not in keys or last not in keys:
        return []
    return keys[keys.index(first) : keys.index(last) + 1]


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Requests one decision run for the pairs whose newest candle has closed.",
)
def decision_sensor(
    context: dg.SensorEvaluationContext,
    bus: dg.ResourceParam[Bus],
    universe: dg.ResourceParam[Universe],
    account: dg.ResourceParam[Account],
) -> dg.SensorResult:
    """Request runs for due candles, except of pairs that a run is waiting for or working on: they stay due.

    The run key comes from the decisions' ids, so that a repeated evaluation starts no run.
    """
    before = Cursor.parse(context.cursor)
    cursor = before.advance(bus.read(CANDLE_CLOSED, before.offset), universe)
    if not cursor.due:
        return dg.SensorResult(
            skip_reason=f"no candle closed since offset {before.offset}", cursor=str(cursor)
        )
    keys = context.instance.get_dynamic_partitions(PAIR_PARTITIONS)
    busy = pairs_in_runs(context.instance, keys, datetime.now(UTC))
    ready = {key: close for key, close in cursor.due.items() if key in keys and key not in busy}
    if not ready:
        waits = f"{', '.join(sorted(cursor.due))}: a run has not ended yet; the candle stays due"
        return dg.SensorResult(skip_reason=waits, cursor=str(cursor))
    return dg.SensorResult(run_requests=run_requests(ready, keys, account), cursor=str(cursor.without(ready)))
