"""Pauses between connections."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from streaming.connection.backoff import MAX_INSTANT_RETRIES, AttemptResult, Backoff
from streaming.feeds import ConnectionRules
from tests.streaming.session.session_fakes import RULES

DROPPED, REFUSED = AttemptResult(opened=True, lifetime=1), AttemptResult(opened=False)
SLOW = replace(RULES, first_pause=timedelta(seconds=5))


def backoff_of(seed: int = 1, rules: ConnectionRules = RULES) -> Backoff:
    return Backoff(rules, Random(seed))


def test_the_first_drops_are_followed_by_an_attempt_at_once() -> None:
    backoff = backoff_of()
    pauses = [backoff.pause(DROPPED) for _ in range(MAX_INSTANT_RETRIES + 1)]
    assert pauses[:MAX_INSTANT_RETRIES] == [0.0] * MAX_INSTANT_RETRIES
    assert pauses[MAX_INSTANT_RETRIES] > 0


def test_a_failed_connection_is_not_retried_at_once() -> None:
    assert backoff_of().pause(REFUSED) > 0


def test_a_venue_that_wants_a_pause_before_each_attempt_gets_it() -> None:
    backoff = backoff_of(rules=SLOW)
    assert all(backoff.pause(DROPPED) >= 5 for _ in range(10))


@given(st.integers(0, 2**32), st.integers(1, 50))
def test_pauses_lie_between_zero_and_a_bound_that_doubles_up_to_the_maximum(seed: int, count: int) -> None:
    backoff = backoff_of(seed)
    for number in range(count):
        assert 0 <= backoff.pause(REFUSED) <= min(0.5 * 2**number, 60)


def test_pauses_of_different_processes_differ() -> None:
    assert backoff_of(1).pause(REFUSED) != backoff_of(2).pause(REFUSED)


def test_thousands_of_failures_do_not_overflow() -> None:
    backoff = backoff_of()
    assert max(backoff.pause(REFUSED) for _ in range(5_000)) <= 60


def test_a_stable_connection_makes_the_next_failure_the_first() -> None:
    backoff = backoff_of()
    for _ in range(20):
        backoff.pause(REFUSED)
    assert backoff.pause(AttemptResult(opened=True, lifetime=61)) == 0.0


def test_maintenance_has_its_pause_also_after_a_stable_connection() -> None:
    assert backoff_of().pause(AttemptResult(opened=True, lifetime=1_000, maintenance=True)) >= 5


def test_the_pause_that_the_venue_asks_for_is_the_minimum() -> None:
    assert backoff_of().pause(AttemptResult(opened=False, minimum_pause=30)) >= 30
