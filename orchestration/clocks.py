"""The clock of each candle source: the venue's where it has one, the machine's, or on history the newest candle's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

from ml.decision.clock import SECOND, Clock, ClockReading, skew_seconds
from trading.errors import InvalidMessage, MarketloomError, VenueUnreachable

PATIENCE = 5.0  # seconds until a sandbox on this machine counts as not running
MEASURED_FOR = 60.0  # seconds after which a venue is asked for its time again


def machine_now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


class VenueClock:
    """A venue's time: the machine's, corrected by what it was off when the venue was asked last.

    `ask` returns the venue's time, cut off to `resolution`; None where it tells none. Where the venue does not answer
    the machine's time counts, with a skew that is not known.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], datetime | None],
        resolution: timedelta,
        machine: Callable[[], datetime] = machine_now,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._ask = ask
        self._resolution = resolution
        self._machine = machine
        self._monotonic = monotonic
        self._measured: tuple[float, float | None] | None = None  # when, and the skew

    def __call__(self) -> ClockReading:
        try:
            skew = self._skew()
        except MarketloomError as error:
            return ClockReading(
                self._machine(), f"this machine: {self._name} does not tell its time ({error})", None
            )
        if skew is None:
            return ClockReading(self._machine(), f"this machine: {self._name} tells no time")
        return ClockReading(self._machine() - skew * SECOND, f"the time of {self._name}", skew)

    def _skew(self) -> float | None:
        now = self._monotonic()
        if self._measured is None or now - self._measured[0] > MEASURED_FOR:
            before, venue = self._machine(), self._ask()
            after = self._machine()
            skew = None if venue is None else skew_seconds(before, venue, after, self._resolution)
            self._measured = (now, skew)
        return self._measured[1]


def skew_problem(skew: float | None, limit: float) -> str:
    """Return what is wrong with the machine's clock beside the venue's, in seconds; empty: nothing."""
    if skew is None:
        return "the venue's clock cannot be read"
    return f"this machine's clock is {skew:+.1f} s from the venue's" if abs(skew) > limit else ""


def machine_clock(why: str, machine: Callable[[], datetime] = machine_now) -> Clock:
    """Return the machine's clock; `why` says that there is no other to compare it with."""
    return lambda: ClockReading(machine(), f"this machine: {why}")


def sandbox_clock(
    market_time: Callable[[], datetime],
    server_time: Callable[[], datetime],
    newest_known: Callable[[], datetime],
    machine: Callable[[], datetime] = machine_now,
) -> Clock:
    """Return a clock by the sandbox's market time; while none runs, history's with a skew that is not known.

    The skew is that of this machine against the sandbox's server time, which it cuts off to a second.
    """

    def clock() -> ClockReading:
        try:
            market = market_time()  # says at once when none runs
            before, server, after = machine(), server_time(), machine()
        except MarketloomError as error:
            return ClockReading(newest_known(), f"the newest stored candle: {error}", None)
        skew = skew_seconds(before, server, after, resolution=SECOND)
        return ClockReading(market, "the sandbox's market time", skew)

    return clock


def read_market_time(url: str) -> datetime:
    """Ask the sandbox for the time of its market. VenueUnreachable when none answers there."""
    import httpx

    try:
        # Plain HTTP, on this machine: loading all certificates would take longer than the question.
        answer = httpx.get(f"{url}/admin/status", timeout=PATIENCE, verify=False).raise_for_status().json()
        return datetime.fromisoformat(answer["market_time"])
    except httpx.HTTPError as error:
        raise VenueUnreachable(
            f"no sandbox answers on {url} ({error}): start one with `marketloom sandbox`, "
            "or choose another [market] source"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidMessage("status", f"{url} is not a sandbox of Marketloom ({error!r})") from None
