"""Protocol of the notes of failed runs. Times are UTC."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FailureNote:
    """A run that failed, for a person to read."""

    run_id: str
    job: str
    partition: str  # a key, or "first to last"; empty where there is none
    reason: str
    at: datetime


class FailureLog(Protocol):
    """Notes of runs that failed; the newest are kept."""

    def add(self, note: FailureNote) -> None:
        """Note a failed run; a second note of the same run changes nothing."""

    def newest(self, count: int) -> list[FailureNote]:
        """List notes, newest first."""
