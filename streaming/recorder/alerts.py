"""Alerts of the stream: each kind at most once a minute per pair, with how often it happened meanwhile."""

import time
from collections.abc import Callable
from datetime import datetime

from streaming.messages import AlertMessage
from trading.market import Pair

SOURCE = "stream"
INTERVAL = 60.0  # seconds
INFO, WARNING, ERROR = "info", "warning", "error"


class Alerts:
    """Decides which alerts a person gets. What is left out is counted in the next one of its kind."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._raised: dict[tuple[str, Pair | None], float] = {}
        self._left_out: dict[tuple[str, Pair | None], int] = {}

    def alert(
        self, kind: str, severity: str, text: str, pair: Pair | None, at: datetime
    ) -> AlertMessage | None:
        """Return the alert, or None where one of its kind and pair was raised within the last minute."""
        key, now = (kind, pair), self._monotonic()
        if now - self._raised.get(key, -INTERVAL) < INTERVAL:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return None
        self._raised[key] = now
        if more := self._left_out.pop(key, 0):
            text = f"{text} (and {more} more since the last alert of this kind)"
        return AlertMessage(
            source=SOURCE, kind=kind, severity=severity, text=text, pair=str(pair) if pair else None, at=at
        )
