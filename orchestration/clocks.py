"""The clock of each candle source: the venue's where it has one, the machine's, or on history the newest candle's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from ml.decision.clock import SECOND, Clock, ClockReading, skew_seconds
from trading.errors import InvalidMessage, MarketloomError, VenueUnreachable

PATIENCE = 5.0  # seconds until a sandbox on this machine counts as not running


def machine_now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


class VenueTime:
    """A venue's time: the machine's, corrected by what it was off when the venue was asked, once.

    `ask` returns the venue's time, cut off to `resolution`. Errors of it are raised.
    """

    def __init__(
        self,
        ask: Callable[[], datetime],
        resolution: timedelta,
        machine: Callable[[], datetime] = machine_now,
    ) -> None:
        self._ask = ask
        self._resolution = resolution
        self._machine = machine

    @cached_property
    def skew_seconds(self) -> float:
        before = self._machine()
        venue = self._ask()
        return skew_seconds(before, venue, self._machine(), self._resolution)

    def __call__(self) -> datetime:
        return self._machine() - self.skew_seconds * SECOND


def venue_clock(name: str, time: VenueTime, machine: Callable[[], datetime] = machine_now) -> Clock:
    """Return a clock by the venue's time; where the venue does not answer, the machine's with a skew that is not known."""

    def clock() -> ClockReading:
        try:
            return ClockReading(time(), f"the time of {name}", time.skew_seconds)
        except MarketloomError as error:
            return ClockReading(machine(), f"this machine: {name} does not tell its time ({error})", None)

    return clock


def machine_clock(why: str, machine: Callable[[], datetime] = machine_now) -> Clock:
    """Return the machine's clock; `why` says that there is no other to compare it with."""
    return lambda: ClockReading(machine(), f"this machine: {why}")


def history_clock(newest_known: Callable[[], datetime]) -> Clock:
    """Return a clock that stands where the newest stored candle became known."""
    return lambda: ClockReading(newest_known(), "the newest stored candle")


class SandboxTime(NamedTuple):
    market: datetime  # of the replayed or simulated market
    server: datetime  # the clock of the machine that it runs on


def sandbox_clock(
    url: str, newest_known: Callable[[], datetime], machine: Callable[[], datetime] = machine_now
) -> Clock:
    """Return a clock by the sandbox's market time; while none runs, history's with a skew that is not known."""

    def clock() -> ClockReading:
        before = machine()
        try:
            read = read_sandbox_time(url)
        except MarketloomError as error:
            return ClockReading(newest_known(), f"the newest stored candle: {error}", None)
        skew = skew_seconds(before, read.server, machine(), timedelta(0))
        return ClockReading(read.market, "the sandbox's market time", skew)

    return clock


def read_sandbox_time(url: str) -> SandboxTime:
    """Ask the sandbox for both of its times. VenueUnreachable when none answers there."""
    import httpx

    try:
        answer = httpx.get(f"{url}/admin/status", timeout=PATIENCE).raise_for_status().json()
        times = (datetime.fromisoformat(answer[name]) for name in ("market_time", "server_time"))
        return SandboxTime(*times)
    except httpx.HTTPError as error:
        raise VenueUnreachable(
            f"no sandbox answers on {url} ({error}): start one with `marketloom sandbox`, "
            "or choose another [market] source"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidMessage("status", f"{url} is not a sandbox of Marketloom ({error!r})") from None
