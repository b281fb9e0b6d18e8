"""Nonces and rate counters of API keys in memory, on a clock of the test."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from trading.api_keys import Charge, Permit

ROUNDING = 1e-6


class MemoryKeyState:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        self._clock = clock
        self._lock = threading.Lock()
        self._nonces: dict[str, int] = defaultdict(int)
        self._counters: dict[tuple[str, str], tuple[float, float]] = {}  # level, and when it was that

    def next_nonce(self, key: str) -> int:
        with self._lock:
            return self._next_nonce(key)

    def spend(self, key: str, charge: Charge) -> Permit:
        with self._lock:
            level = self._level(key, charge.counter, charge.decay)
            fits = level + charge.cost <= charge.ceiling + ROUNDING
            self._counters[key, charge.counter] = (level + (charge.cost if fits else 0.0), self._clock())
            return Permit(self._next_nonce(key)) if fits else Permit(None, charge.wait(level))

    def exhaust(self, key: str, counter: str, level: float) -> None:
        with self._lock:
            self._counters[key, counter] = (level, self._clock())

    def level(self, key: str, counter: str, decay: float) -> float:
        with self._lock:
            return self._level(key, counter, decay)

    def _next_nonce(self, key: str) -> int:
        self._nonces[key] = max(self._nonces[key] + 1, int(self._clock() * 1_000_000))
        return self._nonces[key]

    def _level(self, key: str, counter: str, decay: float) -> float:
        level, at = self._counters.get((key, counter), (0.0, 0.0))
        return max(0.0, level - decay * max(0.0, self._clock() - at))
