"""The clock of a run: read once, with its source and how far the machine's own clock is off."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

SECOND = timedelta(seconds=1)
HISTORY = "the newest stored candle"  # source of a clock on which no candle closes any more


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The time that everything of one run happens at. Ages are measured against it."""

    at: datetime
    source: str  # in words: whose clock it is
    # Machine less venue: above zero where the machine's clock is fast. 0: one clock alone, so that nothing can differ.
    # None: the venue's could not be read.
    skew_seconds: float | None = 0.0
    chosen: bool = False  # a person chose the time: what is stored may well be newer


Clock = Callable[[], ClockReading]


def skew_seconds(before: datetime, venue: datetime, after: datetime, resolution: timedelta) -> float:
    """Return how far the machine's clock surely is ahead of the venue's (below zero: behind), in seconds.

    `before` and `after` are the machine's times around the question, `venue` the answer, which is cut off to its
    `resolution`. Anything that a slow answer explains is no skew.
    """
    fast, slow = before - (venue + resolution), venue - after
    return max(fast / SECOND, 0.0) or -max(slow / SECOND, 0.0)


def chosen_time(at: datetime) -> ClockReading:
    """Return the clock of a decision whose time a person chose."""
    return ClockReading(at, "chosen by a person", chosen=True)


def history_clock(newest_known: Callable[[], datetime]) -> Clock:
    """Return a clock that stands where the newest stored candle became known."""
    return lambda: ClockReading(newest_known(), HISTORY)
