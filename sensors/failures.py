"""The sensor that notes every run that failed, with its reason, where `marketloom status` shows it."""

from datetime import UTC, datetime

import dagster as dg

from trading.ports import FailureLog, FailureNote

MAX_REASON = 300  # characters; the run itself has all of it


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
        job=run.job_name,
        partition=tags.get("dagster/partition") or " to ".join(filter(None, span)),
        reason=_reason(context)[:MAX_REASON],
        at=datetime.fromtimestamp(context.instance.get_run_stats(run.run_id).end_time or 0, UTC),
    )


def _reason(context: dg.RunFailureSensorContext) -> str:
    """Return the innermost error of the first step that failed, or what Dagster says of the run."""
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return f"{event.step_key}: {error.message.strip()}"
    return context.failure_event.message or "it ended without a reason"
