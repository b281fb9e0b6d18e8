"""Kraken's clock as far as it can be known on this machine: never ahead of it."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from trading.market import EPOCH


class ServerClock:
    """Measured once: the second that Kraken named, and what has passed here since its response came.

    The machine's own date does not matter, and may be changed meanwhile.
    """

    def __init__(self, read_time: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._second = read_time()
        self._received = monotonic()
        self._monotonic = monotonic

    def earliest(self) -> datetime:
        """Return a time that has passed at Kraken; its clock is ahead by up to a second and the way of the response."""
        return EPOCH + timedelta(seconds=self._second + self._monotonic() - self._received)
