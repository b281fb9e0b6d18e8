"""The circuit breaker of an address: after failures in a row nobody waits for it, until a trial call succeeds."""

import time
from collections.abc import Callable
from threading import Lock


class CircuitBreaker:
    """Closed until `failures` calls in a row fail; then open for `pause_seconds`; then one call tries it again."""

    def __init__(
        self, failures: int, pause_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause = pause_seconds
        self._monotonic = monotonic
        self._lock = Lock()
        self._failed = 0
        self._trial_at: float | None = None  # when the next call may try; None: closed

    def admits(self) -> bool:
        """Return whether a call may be made now; after the pause it is True for one caller alone, until it reports."""
        with self._lock:
            if self._trial_at is None:
                return True
            if self._monotonic() < self._trial_at:
                return False
            self._trial_at = (
                self._monotonic() + self._pause
            )  # of this trial; whoever dies in it holds nobody up
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failed, self._trial_at = 0, None

    def failed(self) -> None:
        with self._lock:
            self._failed += 1
            if self._failed >= self._limit:
                self._trial_at = self._monotonic() + self._pause

    @property
    def is_open(self) -> bool:
        return self._trial_at is not None
