"""Market time against server time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.market.clock import END, MarketClock
from tests.streaming.sandbox.market_cases import START
from trading.errors import InvalidValue


class Server:
    """A server clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


def clock(speed: float = 1.0) -> tuple[MarketClock, Server]:
    server = Server()
    return MarketClock(START, speed, server), server


@pytest.mark.parametrize("speed", [0.5, 1, 60, 1_000_000])
def test_the_market_runs_at_its_speed(speed: float) -> None:
    market, server = clock(speed)
    server.time += 10
    assert market.now() == START + timedelta(seconds=10 * speed)


@given(st.floats(0.001, 1e6), st.floats(0, 1e6))
def test_after_the_delay_the_time_has_come(speed: float, seconds: float) -> None:
    market, server = clock(speed)
    due = START + timedelta(seconds=seconds)
    delay = market.delay_until(due)
    assert delay is not None
    server.time += delay + 1e-6
    assert market.delay_until(due - timedelta(milliseconds=1)) == 0.0


def test_at_speed_0_time_stands_until_it_is_moved_by_hand() -> None:
    market, server = clock(0)
    server.time += 3600
    assert market.now() == START
    assert market.delay_until(START + timedelta(seconds=1)) is None
    market.advance_to(START + timedelta(hours=1))
    assert market.now() == START + timedelta(hours=1)
    market.advance_to(START)
    assert market.now() == START + timedelta(hours=1)


def test_a_running_clock_is_not_moved_by_hand() -> None:
    with pytest.raises(InvalidValue, match="speed 2"):
        clock(2)[0].advance_to(START)


def test_it_goes_on_at_the_time_that_was_saved() -> None:
    market, server = clock(2)
    server.time += 5
    again = MarketClock(market.now(), 2, server)
    server.time += 5
    assert again.now() == START + timedelta(seconds=20) == market.now()


def test_time_never_falls_when_the_server_clock_is_set_back() -> None:
    market, server = clock()
    server.time += 10
    told = market.now()
    server.time -= 60
    assert market.now() == told


def test_a_market_stops_at_its_limit_and_catches_up_without_one() -> None:
    market, server = clock()
    market.set_limit(START + timedelta(seconds=3))
    server.time += 10
    assert market.now() == START + timedelta(seconds=3)
    assert market.delay_until(START + timedelta(seconds=9)) == 0.0
    market.set_limit(None)
    assert market.now() == START + timedelta(seconds=10)


def test_rebasing_sets_the_time_also_backwards() -> None:
    market, server = clock(60)
    server.time += 10
    market.rebase(START - timedelta(days=1))
    assert market.now() == START - timedelta(days=1)
    server.time += 1
    assert market.now() == START - timedelta(days=1) + timedelta(minutes=1)


def test_time_is_in_utc_and_ends_with_the_tape() -> None:
    server = Server()
    zone = timezone(timedelta(hours=5))
    assert MarketClock(datetime(2024, 1, 1, 5, tzinfo=zone), 1, server).now() == datetime(
        2024, 1, 1, tzinfo=UTC
    )
    market = MarketClock(START, 1_000_000, server)
    server.time += 1e12
    assert market.now() == END


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf"), 1e7])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(InvalidValue, match="speed is"):
        clock(speed)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidValue, match="needs a time zone"):
        MarketClock(datetime(2024, 1, 1), 1, Server())  # noqa: DTZ001
