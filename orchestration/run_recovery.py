"""What killed processes left in Dagster's storage: runs that look as if they went on, and slots of pools."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import dagster as dg
import psutil
from dagster._core.storage.dagster_run import FINISHED_STATUSES

PROCESS_TAG = "marketloom/pid"
# A process begins before its run is written; the two clocks may drift apart while a machine sleeps.
CLOCK_TOLERANCE = timedelta(minutes=1)
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def recover_runs(instance: dg.DagsterInstance, *, served: bool) -> None:
    """Close runs whose process is gone and free their slots: both would stay taken for ever.

    A demo's runs name their process. The others belong to the server of this home: they go on while it is `served`.
    """
    unfinished = dg.RunsFilter(statuses=[*UNFINISHED, dg.DagsterRunStatus.NOT_STARTED])
    for record in instance.get_run_records(unfinished):
        if _is_abandoned(record, served):
            instance.report_run_failed(
                record.dagster_run, "its process ended before the run did; materialise again"
            )
    free_slots_of_ended_runs(instance)


def free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    """Free the slots that runs still hold or wait for after their end."""
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.status in FINISHED_STATUSES:
            storage.free_concurrency_slots_for_run(run_id)


def describe_holders(instance: dg.DagsterInstance, pool: str) -> str:
    """Describe in words which runs hold the slots of a pool."""
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    return " and ".join(_describe(instance, run_id) for run_id in sorted({slot.run_id for slot in slots}))


def _describe(instance: dg.DagsterInstance, run_id: str) -> str:
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return f"run {run_id[:8]}"
    process = record.dagster_run.tags.get(PROCESS_TAG)
    where = f"process {process}" if process else "`marketloom dev`"
    return f"run {run_id[:8]} of job {record.dagster_run.job_name} ({where}, since {_start(record):%H:%M:%S} UTC)"


def _start(record: dg.RunRecord) -> datetime:
    started = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else None
    return started or record.create_timestamp


def _is_abandoned(record: dg.RunRecord, served: bool) -> bool:
    process = record.dagster_run.tags.get(PROCESS_TAG)
    if process is None:
        # One that has not started yet is the sensor's or the UI's, who submit it after a restart.
        return not served and record.dagster_run.status is not dg.DagsterRunStatus.NOT_STARTED
    return not _runs_since(int(process), record.create_timestamp)


def _runs_since(process_id: int, begun: datetime) -> bool:
    """Return whether the process lives that wrote a run at `begun`; a recycled id belongs to a younger one."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        born = datetime.fromtimestamp(process.create_time(), UTC)
        return process.status() != psutil.STATUS_ZOMBIE and born <= begun + CLOCK_TOLERANCE
    return False
