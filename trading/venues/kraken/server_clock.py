"""Kraken's clock as far as it can be known from here: never ahead of it."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from trading.venues.kraken.decoding import EPOCH


class ServerClock:
    """Measured once: the second that Kraken named, and what has passed here since its answer came.

    The machine's own date does not matter, and may be changed meanwhile.
    """

    def __init__(self, ask: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._second = ask()
        self._answered = monotonic()
        self._monotonic = monotonic

    def earliest(self) -> datetime:
        """At Kraken it is this late at least; up to a second and the answer's way here later."""
        return EPOCH + timedelta(seconds=self._second + self._monotonic() - self._answered)
