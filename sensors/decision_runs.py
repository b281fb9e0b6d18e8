"""The decision runs that Dagster knows of: which pairs they are for, and how the attempts at one candle went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

JOB = "decide"
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
# How long after a run has ended without success its candle is asked for again. A killed process is repeated at once;
# what fails twice is broken for longer.
PAUSES = (timedelta(seconds=5), timedelta(minutes=1))
GIVEN_UP_AFTER = len(PAUSES) + 1  # runs


@dataclass(frozen=True, slots=True)
class Attempts:
    """The runs that were for one candle of a pair."""

    count: int
    succeeded: bool
    ended_at: datetime | None  # the newest; None while one has not ended, and without any

    @property
    def exhausted(self) -> bool:
        """True when the last run that is allowed has ended without success."""
        return not self.succeeded and self.count >= GIVEN_UP_AFTER and self.ended_at is not None

    def may_repeat(self, now: datetime) -> bool:
        """Return whether a run may be requested now: the first, or another a while after the one before ended."""
        if self.count == 0:
            return True
        return self.ended_at is not None and now >= self.ended_at + PAUSES[min(self.count, len(PAUSES)) - 1]


NO_ATTEMPTS = Attempts(0, False, None)


def candle_tag(key: str) -> str:
    """Return the tag of a run that says which candle of the pair it is for."""
    return f"marketloom/candle.{key}"


def attempts_at(instance: dg.DagsterInstance, key: str, close: str, now: datetime) -> Attempts:
    """Read how the runs for the pair's candle that closed at `close` went."""
    wanted = dg.RunsFilter(job_name=JOB, tags={candle_tag(key): close})
    records = instance.get_run_records(wanted)
    ends = [_ended_at(record, now) for record in records]
    return Attempts(
        count=len(records),
        succeeded=any(record.dagster_run.status is dg.DagsterRunStatus.SUCCESS for record in records),
        ended_at=None if None in ends else max((end for end in ends if end), default=None),
    )


def _ended_at(record: dg.RunRecord, now: datetime) -> datetime | None:
    """Return when it ended; of a lost run, when it counted as lost; None while it goes on."""
    if is_lost(record, now):
        return record.create_timestamp + MAX_UNQUEUED
    if record.dagster_run.status in UNFINISHED:
        return None
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp


def pairs_in_runs(instance: dg.DagsterInstance, keys: Sequence[str], now: datetime) -> set[str]:
    """Return the pairs that a queued, starting or running decision run is for."""
    records = instance.get_run_records(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED))
    return {
        key
        for record in records
        if not is_lost(record, now)
        for key in _pairs_of(record.dagster_run.tags, keys)
    }


def is_lost(record: dg.RunRecord, now: datetime) -> bool:
    """Return whether the run was created and never queued: the daemon that did so is gone."""
    not_queued = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
    return not_queued and now - record.create_timestamp > MAX_UNQUEUED


def _pairs_of(tags: Mapping[str, str], keys: Sequence[str]) -> Sequence[str]:
    first, last = (tags.get(tag, tags.get(PARTITION)) for tag in (RANGE_START, RANGE_END))
    if first not in keys or last not in keys:
        return []
    return keys[keys.index(first) : keys.index(last) + 1]
