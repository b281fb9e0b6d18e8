"""The sensor of the market monitor: shows a language model the system's state where it has changed, and passes on what
it says: a line in the agents' log, an alert where a person should look, a run where it asks for one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import dagster as dg

from ml.agents.monitor import Look

SENSOR = "market_monitor"
JOBS = ("news", "market_setup", "judging")  # what it may ask for: none of them sends an order
BY_DAY = ("news",)  # those whose partition is the day
PER_RUN = timedelta(hours=1)  # the same job is asked for once in it, however often the model wants it


class MarketMonitor(Protocol):
    """The system's state, and the model that reads it."""

    def changed(self, cursor: str) -> str:
        """Return the state's fingerprint; empty where it is the cursor's."""

    def look(self) -> tuple[Look, datetime]:
        """Ask the model, note and announce what it says; also the account's time."""


def monitor_sensors(is_on: bool, seconds: float, jobs: Sequence[Any]) -> list[dg.SensorDefinition]:
    """Return the sensor where the settings name a model for it; of `jobs` it may ask for those of JOBS."""
    return [_monitor_sensor(round(seconds), [job for job in jobs if job.name in JOBS])] if is_on else []


def _monitor_sensor(seconds: int, jobs: Sequence[Any]) -> dg.SensorDefinition:
    @dg.sensor(
        name=SENSOR,
        jobs=jobs,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Shows a language model the system's state; its insight becomes a note, an alert, or a run.",
    )
    def market_monitor(
        context: dg.SensorEvaluationContext, monitor: dg.ResourceParam[MarketMonitor]
    ) -> dg.SensorResult:
        cursor = monitor.changed(context.cursor or "")
        if not cursor:
            return dg.SensorResult(skip_reason="nothing has changed since the last look")
        look, at = monitor.look()
        return result_of(look, at, cursor)

    return market_monitor


def result_of(look: Look, at: datetime, cursor: str) -> dg.SensorResult:
    """Ask for the run that the insight names; a state that was not judged is looked at again."""
    insight = look.insight
    if insight is None:
        return dg.SensorResult(skip_reason=f"no insight: {look.problem}")
    if insight.run is None or insight.run not in JOBS:
        return dg.SensorResult(cursor=cursor, skip_reason=f"{insight.severity}: {insight.headline}")
    period = int(at.timestamp() // PER_RUN.total_seconds())
    request = dg.RunRequest(
        job_name=insight.run,
        run_key=f"{SENSOR}|{insight.run}|{period}",
        partition_key=at.date().isoformat() if insight.run in BY_DAY else None,
        tags={"asked_for_by": SENSOR},
    )
    return dg.SensorResult(cursor=cursor, run_requests=[request])
