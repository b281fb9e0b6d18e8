"""Notes the runs that failed whether or not the sensor of failed runs does: that one handles five in a tick."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from sensors.failures import failure_note
from trading.ports import FailureLog

BEFORE_START = timedelta(hours=1)  # runs that failed while nobody looked, or that the start itself has closed
OVERLAP = timedelta(minutes=2)  # a run's end may be stored later than it is dated


@dataclass
class FailedRuns:
    """Reads the runs of the instance in DAGSTER_HOME that failed since the last look; each is noted once."""

    notes: Callable[[], FailureLog]
    _since: datetime = field(default_factory=lambda: datetime.now(UTC) - BEFORE_START)
    _noted: set[str] = field(default_factory=set)  # of the last look
    _instance: dg.DagsterInstance | None = field(default=None, repr=False)

    def look(self) -> None:
        """Look. StoreUnreachable: what is not noted is with a later look."""
        if self._instance is None:
            self._instance = dg.DagsterInstance.get()
        records = self._instance.get_run_records(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=self._since),
            order_by="update_timestamp",
            ascending=True,
        )
        notes = self.notes()
        for record in records:
            if record.dagster_run.run_id not in self._noted:
                notes.add(failure_note(self._instance, record.dagster_run))
                self._noted.add(record.dagster_run.run_id)
        self._noted = {each.dagster_run.run_id for each in records}
        if records:
            self._since = max(self._since, records[-1].update_timestamp - OVERLAP)
