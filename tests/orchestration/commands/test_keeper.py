"""The keeper goes on whatever one pass meets, and compares the books at once after an unknown outcome."""

import threading
from collections.abc import Callable

from orchestration.commands.keeper import RECONCILE_SECONDS, Keeper
from trading.errors import NotStored, VenueUnreachable


class Passes:
    """What the keeper did, on a clock of the test's own."""

    def __init__(self, carry_out: Callable[[], bool] = lambda: False) -> None:
        self.now = 1000.0
        self.reconciled = 0
        self.keeper = Keeper(carry_out, self.reconcile, threading.Event(), lambda: self.now)

    def reconcile(self) -> None:
        self.reconciled += 1

    def step(self, seconds: float = 5.0) -> None:
        self.keeper.step()
        self.now += seconds


def test_the_books_are_compared_at_the_start_and_then_every_minute() -> None:
    passes = Passes()
    for _ in range(25):
        passes.step(5.0)
    assert passes.reconciled == 1 + int(24 * 5 // RECONCILE_SECONDS)


def test_an_unknown_outcome_has_the_books_compared_at_once() -> None:
    unknown = iter([False, False, True, False])
    passes = Passes(lambda: next(unknown))
    for expected in (1, 1, 2, 2):
        passes.step()
        assert passes.reconciled == expected


def test_a_venue_that_is_away_ends_neither_the_pass_nor_the_keeper() -> None:
    def fail() -> bool:
        raise VenueUnreachable("away")

    passes = Passes(fail)
    passes.step()
    assert passes.reconciled == 1


def test_an_error_that_nobody_expected_does_not_end_the_keeper() -> None:
    def fail() -> bool:
        raise ZeroDivisionError

    passes = Passes(fail)
    passes.step()
    assert passes.reconciled == 1


def test_an_account_that_has_not_opened_yet_is_no_error() -> None:
    def fail() -> bool:
        raise NotStored("no account")

    passes = Passes(fail)
    passes.step(RECONCILE_SECONDS)
    passes.step()
    assert passes.reconciled == 2


def test_it_stops_when_it_is_told_to() -> None:
    stop = threading.Event()

    def carry_out() -> bool:
        stop.set()
        return False

    Keeper(carry_out, lambda: None, stop).run()
    assert stop.is_set()
