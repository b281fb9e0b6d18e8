"""The outbox as an event log in memory."""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from trading.ports import Event
from trading.stores.journal_rules import json_text


class MemoryEventLog:
    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._events: list[Event] = []

    def publish(self, topic: str, key: str, payload: Mapping[str, Any]) -> int:
        plain = json.loads(json_text(dict(payload)))
        with self._turn:
            event = Event(len(self._events) + 1, topic, key, plain, datetime.now(UTC))
            self._events.append(event)
            self._turn.notify_all()
        return event.offset

    def read(self, topic: str, after: int, limit: int = 1000) -> list[Event]:
        return [each for each in self._events[max(after, 0) :] if each.topic == topic][:limit]

    def wait(self, topic: str, keys: Sequence[str], after: int, seconds: float) -> bool:
        with self._turn:
            return self._turn.wait_for(
                lambda: any(each.key in keys for each in self.read(topic, after)), seconds
            )

    def newest(self, topic: str, key: str, origin: str | None = None) -> Event | None:
        own = (each for each in reversed(self._events) if (each.topic, each.key) == (topic, key))
        return next((each for each in own if origin in (None, each.payload.get("origin"))), None)
