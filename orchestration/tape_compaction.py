"""The tape's files: batches of a few seconds become one file per day, the same rows."""

from datetime import UTC, datetime

import dagster as dg

from trading.market import midnight
from trading.ports import Tape


@dg.op(description="One file, or part, of each finished UTC day of the stream's tape.")
def compact_finished_days(context: dg.OpExecutionContext, tape: dg.ResourceParam[Tape]) -> None:
    """Make one file of each day that has ended; a day that was made before costs nothing."""
    today = midnight(datetime.now(UTC).date())
    tape.compact(today)
    context.log.info(f"every day of the tape before {today:%Y-%m-%d} is one file")


@dg.job(
    description="Make the stream's files few: one for each table, pair and finished day.",
    tags={"dagster/max_retries": "2"},
)
def tape_compaction() -> None:
    compact_finished_days()
