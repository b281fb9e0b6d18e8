"""Protocol of the bus. Times are UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the bus; offsets rise in commit order."""

    offset: int
    topic: str
    key: str
    payload: dict[str, Any]
    at: datetime


class Bus(Protocol):
    """An append-only log that readers follow with their own offset."""

    def publish(self, topic: str, key: str, payload: Mapping[str, Any]) -> int:
        """Append; returns the offset once it is durable."""

    def read(self, topic: str, after: int, limit: int = 1000) -> list[Event]:
        """Return events with offset above `after`, in order. No event ever appears below one that was already read."""

    def newest(self, topic: str, key: str) -> Event | None:
        """Return the newest event of the key, None without one."""
