"""The venue's time as a bound: it has passed for certain, or it has not been yet."""

from datetime import timedelta

import pytest

from streaming.recorder.venue_time import SLACK, VenueTime
from tests.streaming.recorder.recorder_setup import SECOND, START, Venue
from trading.errors import VenueUnreachable


def clock(venue: Venue, **options: float) -> VenueTime:
    return VenueTime(
        lambda: venue.now, monotonic=lambda: venue.seconds, machine=lambda: venue.machine, **options
    )  # type: ignore[arg-type]


def test_between_two_answers_this_machines_own_clock_counts() -> None:
    venue = Venue()
    made = clock(venue)
    made.measure()
    venue.seconds += 30
    assert timedelta(0) <= START + 30 * SECOND - made.now() < timedelta(milliseconds=10)


def test_the_date_of_this_machine_does_not_matter() -> None:
    venue = Venue()
    made = clock(venue)
    made.measure()
    before = made.now()
    venue.machine += timedelta(days=1)
    assert made.now() == before


def test_time_never_goes_back_though_the_venue_says_so() -> None:
    venue = Venue()
    made = clock(venue)
    made.measure()
    before = made.now()
    venue.now -= 90 * SECOND
    made.measure()
    assert made.now() == before


def test_a_moment_before_an_answer_is_not_dated_by_that_answer() -> None:
    venue = Venue()
    made = clock(venue, rate=0.0)
    made.measure()
    frame = venue.seconds + 1
    venue.seconds += 10
    venue.now += 100 * SECOND
    made.measure()
    assert made.passed_at(frame) == START


def test_a_clock_that_may_stand_still_is_not_run_ahead() -> None:
    venue = Venue()
    made = clock(venue, rate=0.0)
    made.measure()
    venue.seconds += 1000
    assert made.now() == START


def test_messages_move_the_time_on() -> None:
    venue = Venue()
    made = clock(venue)
    made.measure()
    made.notice(START + 5 * SECOND)
    assert made.now() >= START + 5 * SECOND


def test_where_the_venue_tells_no_time_its_messages_do() -> None:
    venue = Venue()
    made = VenueTime(None, monotonic=lambda: venue.seconds, machine=lambda: venue.machine)
    assert made.passed_at(venue.seconds) is None
    made.notice(START - SECOND)
    venue.seconds += 10
    assert START + 8 * SECOND < made.now() < START + 9 * SECOND
    assert made.ask_anew() > START + 8 * SECOND + SLACK


def test_asked_anew_it_is_never_earlier_than_the_venues_clock() -> None:
    venue = Venue(now=START.replace(microsecond=0))
    made = VenueTime(lambda: venue.now, SECOND, monotonic=lambda: venue.seconds)
    assert made.ask_anew() == START + SECOND  # 0.999 s may have been cut off


def test_a_venue_that_does_not_answer_is_an_error_and_not_a_guess() -> None:
    def away() -> None:
        raise VenueUnreachable("away")

    made = VenueTime(away)  # type: ignore[arg-type]
    with pytest.raises(VenueUnreachable):
        made.ask_anew()
