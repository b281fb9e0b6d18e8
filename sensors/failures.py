"""Notes of every run that failed, with its reason, where `marketloom status` shows them; and the sensor that notes."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.events import EngineEventData, JobFailureData
from dagster_shared.error import SerializableErrorInfo

from trading.ports import FailureLog, FailureNote

MAX_REASON = 300  # characters; the run itself has all of it
FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."  # Dagster's words
UNEXPLAINED = "it ended without a reason"
KILLED = "its process ended before the run did: it was killed, or memory ran out"


@dg.run_failure_sensor(
    name="run_failures",
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,  # it starts nothing and sends nothing
    description="Logs and notes every run that failed; `marketloom status` shows the newest.",
)
def failure_sensor(context: dg.RunFailureSensorContext, failure_notes: dg.ResourceParam[FailureLog]) -> None:
    note = failure_note(context.instance, context.dagster_run)
    context.log.error(f"{note.job} {note.partition}: {note.reason}")
    failure_notes.add(note)


def failure_note(instance: dg.DagsterInstance, run: dg.DagsterRun) -> FailureNote:
    """Return the note of a run that failed."""
    tags = run.tags
    span = [tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end")]
    return FailureNote(
        run_id=run.run_id,
        job=_what_ran(run),
        partition=tags.get("dagster/partition") or " to ".join(filter(None, span)),
        reason=_reason(instance, run.run_id)[:MAX_REASON],
        at=datetime.fromtimestamp(instance.get_run_stats(run.run_id).end_time or 0, UTC),
    )


def _what_ran(run: dg.DagsterRun) -> str:
    """Name the job, or the assets where a person chose them: Dagster's name for that job says nothing."""
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    return ", ".join(sorted(key.to_user_string() for key in run.asset_selection))


def _reason(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the innermost error of the first step that failed, or of the run, or what Dagster says of the run."""
    for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        if reason := _innermost(event.step_failure_data.error):
            return f"{event.step_key}: {reason}"
    ends = _events(instance, run_id, dg.DagsterEventType.RUN_FAILURE)
    if not ends:
        return UNEXPLAINED
    # A resource that could not be built fails the run before any step; a killed process leaves no data.
    failure = ends[-1].event_specific_data
    before_steps = _innermost(failure.error) if isinstance(failure, JobFailureData) else ""
    said = ends[-1].message or UNEXPLAINED
    if before_steps or said != FROM_OUTSIDE:
        return before_steps or said
    return _of_the_process(instance, run_id) or KILLED


def _of_the_process(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return what kept the run's process from loading the job, such as settings that cannot be used; else empty."""
    for event in reversed(_events(instance, run_id, dg.DagsterEventType.ENGINE_EVENT)):
        data = event.event_specific_data
        if isinstance(data, EngineEventData) and (reason := _innermost(data.error)):
            return reason
    return ""


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    found = (each.dagster_event for each in instance.all_logs(run_id, of_type=kind))
    return [each for each in found if each is not None]


def _innermost(error: SerializableErrorInfo | None) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else ""
