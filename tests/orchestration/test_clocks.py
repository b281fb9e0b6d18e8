"""Whose time it is: the venue's where it tells one, and how far this machine's clock is off."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.decision.clock import SECOND, ClockReading, skew_seconds
from orchestration.clocks import MEASURED_FOR, VenueClock, machine_clock, read_market_time, sandbox_clock
from orchestration.settings import load_settings
from orchestration.sources import market_clock
from trading.errors import VenueUnreachable

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOURS = 3600.0


def at(*offsets: float) -> Callable[[], datetime]:
    """A machine whose clock shows these times, in seconds after noon."""
    times: Iterator[float] = iter(offsets)
    return lambda: NOON + next(times) * SECOND


def venue(shown: float, machine: Callable[[], datetime], resolution: float = 1.0) -> ClockReading:
    return VenueClock("kraken", lambda: NOON + shown * SECOND, resolution * SECOND, machine)()


@pytest.mark.parametrize(
    ("before", "shown", "after", "skew"),
    [
        (0, 0, 0.2, 0),
        (0.9, 0, 1.1, 0),  # the venue's second is cut off
        (0, 3, 4, 0),  # the answer took four seconds: nothing is known to be off
        (5 * HOURS, 0, 5 * HOURS + 0.2, 5 * HOURS - 1),
        (-5 * HOURS, 0, -5 * HOURS + 0.2, -5 * HOURS + 0.2),
    ],
)
def test_only_what_no_slow_answer_explains_is_skew(
    before: float, shown: float, after: float, skew: float
) -> None:
    found = skew_seconds(
        *(NOON + seconds * SECOND for seconds in (before, shown, after)), resolution=timedelta(seconds=1)
    )
    assert found == pytest.approx(skew)


def test_the_time_of_a_run_is_the_venues_whatever_this_machine_shows() -> None:
    slow = venue(0, at(-5 * HOURS, -5 * HOURS + 0.2, -5 * HOURS + 0.2))
    assert abs(slow.at - NOON) <= SECOND
    assert slow.source == "the time of kraken"
    assert slow.skew_seconds == pytest.approx(-5 * HOURS + 0.2)
    fast = venue(0, at(5 * HOURS, 5 * HOURS + 0.2, 5 * HOURS + 0.2))
    assert abs(fast.at - NOON) <= 2 * SECOND
    assert fast.skew_seconds == pytest.approx(5 * HOURS - 1)


def test_a_venue_that_does_not_answer_leaves_a_skew_that_is_not_known() -> None:
    def refuse() -> datetime:
        raise VenueUnreachable("down for maintenance")

    read = VenueClock("kraken", refuse, SECOND, at(0, 0))()
    assert (read.at, read.skew_seconds) == (NOON, None)
    assert "down for maintenance" in read.source


def test_a_venue_without_a_clock_says_so() -> None:
    read = VenueClock("zoo", lambda: None, SECOND, at(0, 0, 0))()
    assert (read.skew_seconds, read.source) == (0.0, "this machine: zoo tells no time")


def test_the_venue_is_asked_again_after_a_while() -> None:
    asked, passed = [], [0.0]

    def ask() -> datetime:
        asked.append(passed[0])
        return NOON

    clock = VenueClock("kraken", ask, SECOND, lambda: NOON, lambda: passed[0])
    clock(), clock()
    assert len(asked) == 1
    passed[0] = MEASURED_FOR + 1
    clock()
    assert len(asked) == 2


def test_the_clock_of_the_sandbox_is_its_market_time_and_the_skew_that_of_its_server() -> None:
    market = NOON - timedelta(days=400)
    read = sandbox_clock(lambda: market, lambda: NOON, lambda: NOON, at(0, 0.1))()
    assert (read.at, read.skew_seconds, read.source) == (market, 0.0, "the sandbox's market time")
    off = sandbox_clock(lambda: market, lambda: NOON, lambda: NOON, at(5 * HOURS, 5 * HOURS))()
    assert (off.at, off.skew_seconds) == (market, 5 * HOURS - 1)


def test_while_no_sandbox_runs_time_stands_and_the_skew_is_not_known() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    read = sandbox_clock(lambda: read_market_time(url), lambda: NOON, lambda: NOON)()
    assert (read.at, read.skew_seconds) == (NOON, None)
    assert "marketloom sandbox" in read.source


@pytest.mark.parametrize(
    ("source", "until", "kind"),
    [
        ("simulator", "", "the newest stored candle"),
        ("files", "", "the newest stored candle"),
        ("kraken", "2024-01-01T00:00:00", "the newest stored candle"),
        ("cryptocompare", "", "this machine: cryptocompare tells no time"),
    ],
)
def test_a_dataset_with_an_end_is_history_and_its_clock_stands(
    tmp_path: Path, source: str, until: str, kind: str
) -> None:
    chosen = {"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__MARKET__SOURCE": source}
    settings = load_settings({**chosen, "MARKETLOOM__MARKET__UNTIL": until})
    assert market_clock(settings, tmp_path, lambda: NOON)().source == kind


def test_a_machine_alone_has_no_skew() -> None:
    assert machine_clock("nobody to ask", at(0))() == ClockReading(NOON, "this machine: nobody to ask")
