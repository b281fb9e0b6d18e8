"""Server time and market time: how fast the market runs, and how long until something on it is due."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from trading.errors import InvalidValue

MAX_SPEED = 1_000_000.0  # eleven days of market a second; beyond that no exchange could follow
END = datetime(2262, 1, 1, tzinfo=UTC)  # market time stops here: nanoseconds in 64 bits end soon after


class MarketClock:
    """`speed` market seconds pass each server second; at speed 0 only `advance_to` moves it.

    `server` tells the server's time in seconds (since whenever); only its differences count.
    """

    def __init__(self, start: datetime, speed: float, server: Callable[[], float]) -> None:
        """`start` is the market time now: that of the first tick, the one saved at the last stop, or today's."""
        self._speed = _checked_speed(speed)
        self._server = server
        self._base, self._since = _in_utc(start), server()
        self._latest = self._base
        self._limit: datetime | None = None

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> datetime:
        """Return market time. It never falls, whatever the server's clock does, and stops at the limit."""
        time = self._unlimited()
        self._latest = max(self._latest, time if self._limit is None else min(time, self._limit))
        return self._latest

    def set_limit(self, limit: datetime | None) -> None:
        """Let the market not pass `limit`, as something then has still to happen; None lets it catch up."""
        self._limit = limit

    def delay_until(self, time: datetime) -> float | None:
        """Return server seconds until it is `time` on a market without a limit; None when waiting will not help."""
        left = (time - max(self._unlimited(), self._latest)).total_seconds()
        if left <= 0:
            return 0.0
        return left / self._speed if self._speed else None

    def advance_to(self, time: datetime) -> None:
        """Move a clock of speed 0 by hand; an earlier time changes nothing. InvalidValue at any other speed."""
        if self._speed:
            raise InvalidValue(
                f"the market runs at speed {self._speed:g}: only a clock of speed 0 is moved by hand"
            )
        self.rebase(max(time, self.now()))

    def set_speed(self, speed: float) -> None:
        """Go on from now at another speed; 0 lets time stand still. InvalidValue for no possible speed."""
        speed = _checked_speed(speed)
        self.rebase(self.now())
        self._speed = speed

    def rebase(self, time: datetime) -> None:
        """Set the market time to `time`, also when that is earlier than it was."""
        self._base, self._since = _in_utc(time), self._server()
        self._latest = self._base

    def _unlimited(self) -> datetime:
        passed = (self._server() - self._since) * self._speed
        room = (END - self._base).total_seconds()
        return END if passed >= room else self._base + timedelta(seconds=max(passed, 0.0))


def _checked_speed(speed: float) -> float:
    if not (math.isfinite(speed) and 0 <= speed <= MAX_SPEED):
        raise InvalidValue(f"speed is {speed}: allowed is a factor from 0 (only by hand) to {MAX_SPEED:.0f}")
    return float(speed)


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise InvalidValue(f"market time {time} needs a time zone: give it in UTC")
    return min(time.astimezone(UTC), END)
