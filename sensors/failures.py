"""The sensor that notes every run that failed, with its reason, where `marketloom status` shows it."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.events import JobFailureData
from dagster_shared.error import SerializableErrorInfo

from trading.ports import FailureLog, FailureNote

MAX_REASON = 300  # characters; the run itself has all of it
FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."  # Dagster's words
KILLED = "its process ended before the run did: it was killed, or memory ran out"


@dg.run_failure_sensor(
    name="run_failures",
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,  # it starts nothing and sends nothing
    description="Logs and notes every run that failed; `marketloom status` shows the newest.",
)
def failure_sensor(context: dg.RunFailureSensorContext, failure_notes: dg.ResourceParam[FailureLog]) -> None:
    note = failure_note(context)
    context.log.error(f"{note.job} {note.partition}: {note.reason}")
    failure_notes.add(note)


def failure_note(context: dg.RunFailureSensorContext) -> FailureNote:
    run = context.dagster_run
    tags = run.tags
    span = [tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end")]
    return FailureNote(
        run_id=run.run_id,
        job=_what_ran(run),
        partition=tags.get("dagster/partition") or " to ".join(filter(None, span)),
        reason=_reason(context)[:MAX_REASON],
        at=datetime.fromtimestamp(context.instance.get_run_stats(run.run_id).end_time or 0, UTC),
    )


def _what_ran(run: dg.DagsterRun) -> str:
    """Name the job, or the assets where a person chose them: Dagster's name for that job says nothing."""
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    return ", ".join(sorted(key.to_user_string() for key in run.asset_selection))


def _reason(context: dg.RunFailureSensorContext) -> str:
    """Return the innermost error of the first step that failed, or of the run, or what Dagster says of the run."""
    for event in context.get_step_failure_events():
        if reason := _innermost(event.step_failure_data.error):
            return f"{event.step_key}: {reason}"
    # A resource that could not be built fails the run before any step; a killed process leaves no data.
    failure = context.failure_event.event_specific_data
    before_steps = _innermost(failure.error) if isinstance(failure, JobFailureData) else ""
    said = context.failure_event.message or "it ended without a reason"
    return before_steps or (KILLED if said == FROM_OUTSIDE else said)


def _innermost(error: SerializableErrorInfo | None) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else ""
