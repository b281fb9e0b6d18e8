"""Kraken's clock as far as it can be known on this machine: never ahead of it."""

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from trading.errors import Transient
from trading.market import EPOCH

MAX_AGE = 300.0  # seconds after which it is measured again
LONGEST_AGE = 3600.0  # the same while Kraken does not tell its time
MAX_JUMP = 1.0  # seconds by which this machine's two clocks may differ: it slept, or its date was changed


class ServerClock:
    """The second that Kraken named, and what has passed here since its response came.

    Measured when it is first asked for, and again every five minutes.
    """

    def __init__(
        self,
        read_time: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._read_time = read_time
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._measured: tuple[int, float, float] | None = None  # second, and both clocks of this machine then

    def earliest(self) -> datetime:
        """Return a time that has passed at Kraken; its clock is ahead by up to a second and the way of the response.

        Raises what reading its time raises.
        """
        with self._lock:
            if self._measured is None or self._age() > MAX_AGE:
                self._measure()
            assert self._measured is not None
            second, received, _ = self._measured
            return EPOCH + timedelta(seconds=second + self._monotonic() - received)

    def forget(self) -> None:
        """Measure anew the next time: Kraken and this clock do not agree."""
        with self._lock:
            self._measured = None

    def _age(self) -> float:
        """Return the age of the measurement in seconds; endless where it is of no use any more."""
        if self._measured is None:
            return math.inf
        _, received, wall = self._measured
        passed = self._monotonic() - received
        return passed if abs(self._wall() - wall - passed) <= MAX_JUMP else math.inf

    def _measure(self) -> None:
        try:
            second = self._read_time()
        except Transient:
            if self._age() > LONGEST_AGE:
                raise
        else:
            self._measured = (second, self._monotonic(), self._wall())
