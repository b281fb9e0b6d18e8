"""The venue's time as far as it is certain, on a clock of this machine that nobody can set.

What counts is order: a candle may only be closed once everything that the venue had sent by then was read. So the time
is never a guess but a bound: `passed_at` has passed at the venue for certain, `ask_anew` has not been before the call.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import NamedTuple

DRIFT = 1e-4  # that this machine's clock may be too fast: much more than any does
REMEMBERED = 8  # answers: more than come while a frame waits to be handled
SLACK = timedelta(seconds=5)  # where a venue tells no time: the way of a message and its own delay together
MAX_AHEAD = timedelta(minutes=2)  # of this machine's clock; a message from further ahead is no clock
MAX_WRONG = timedelta(hours=1)  # that this machine's date may be behind, where a venue tells no time


class Answer(NamedTuple):
    """What the venue said, when it was asked and when the answer was here, on this machine's own clock."""

    time: datetime
    asked: float
    received: float


class VenueTime:
    """Bounds of the venue's time, for any thread; `monotonic` counts seconds from whenever."""

    def __init__(
        self,
        ask: Callable[[], datetime] | None,
        resolution: timedelta = timedelta(0),
        rate: float = 1.0,
        fastest: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        machine: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`ask` reads the venue's clock, cut off to `resolution`; None where it has none: then messages tell the time.

        `rate` and `fastest`: how fast its clock goes at least and at most; 0 where it may stand still.
        """
        self._ask = ask
        self._resolution = resolution
        self._rate = rate * (1 - DRIFT)
        self._fastest = fastest * (1 + DRIFT)
        self._monotonic = monotonic
        self._machine = machine
        self._answers: deque[Answer] = deque(maxlen=REMEMBERED)
        self._newest_message: Answer | None = None
        self._latest: datetime | None = None
        self._lock = Lock()

    @property
    def asks(self) -> bool:
        """Return whether the venue has a clock that can be asked."""
        return self._ask is not None

    def measure(self) -> datetime | None:
        """Ask the venue for its time. MarketloomError when it does not answer; None where it tells none."""
        if self._ask is None:
            return None
        asked = self._monotonic()
        answer = Answer(self._ask(), asked, self._monotonic())
        self._answers.append(answer)
        return answer.time

    def notice(self, at: datetime | None) -> None:
        """Learn from the time that a message carries; one from the future is no clock."""
        newest = self._newest_message
        if at is None or (newest is not None and at <= newest.time):
            return
        now = self._monotonic()
        if at <= self._highest(now):
            self._newest_message = Answer(at, now, now)

    def is_future(self, at: datetime) -> bool:
        """Return whether the venue's clock cannot have reached this time yet."""
        highest = self._highest(self._monotonic())
        return at > (highest if self._answers else highest + MAX_WRONG)

    def passed_at(self, moment: float) -> datetime | None:
        """Return a time that had passed at the venue at this moment of `monotonic`; None while nothing is known."""
        answers = tuple(self._answers)  # at once: another thread may be adding one
        known = [each for each in answers if each.received <= moment]
        if (newest := self._newest_message) is not None and newest.received <= moment:
            known.append(newest)
        return max((self._later(each, moment) for each in known), default=None)

    def now(self) -> datetime:
        """Return the best lower bound of the venue's time, which never goes back; first this machine's."""
        known = self.passed_at(self._monotonic())
        if known is None:
            return self._machine()
        with self._lock:
            self._latest = known if self._latest is None else max(known, self._latest)
            return self._latest

    def ask_anew(self) -> datetime:
        """Return a time that the venue's clock has not reached before this call began. MarketloomError without one."""
        measured = self.measure()
        return self.now() + SLACK if measured is None else measured + self._resolution

    def _later(self, answer: Answer, moment: float) -> datetime:
        return answer.time + timedelta(seconds=(moment - answer.received) * self._rate)

    def _highest(self, moment: float) -> datetime:
        """Return a time that the venue's clock cannot have passed, with room for one that was asked long ago."""
        if not self._answers:
            return self._machine() + MAX_AHEAD
        newest = self._answers[-1]
        ahead = timedelta(seconds=(moment - newest.asked) * self._fastest)
        return newest.time + self._resolution + ahead + MAX_AHEAD
