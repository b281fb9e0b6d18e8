"""Killed at any step boundary, the next process goes on, and nothing is doubled, lost or left bare."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from threading import Event, Lock

import pytest

from tests.doubles.venue import ScriptedVenue, done, failing, lost
from tests.trading.execution.execution_case import ACCOUNT, BTC, ETH, Case, Killed
from trading.errors import VenueUnreachable
from trading.execution import CHECKPOINTS, Checkpoint
from trading.orders import OrderKind, Side
from trading.risk import HaltKind


class KillAt:
    """Kills its process at the n-th step boundary, and counts them."""

    def __init__(self, number: int) -> None:
        self.number, self.names = number, list[str]()
        self.killed, self._lock = Event(), Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            if self.killed.is_set():
                raise Killed(name)
            self.names.append(name)
            if len(self.names) == self.number:
                self.killed.set()
                raise Killed(name)


def calm(venue: ScriptedVenue) -> None:
    """Nothing goes wrong."""


def losing_answers(venue: ScriptedVenue) -> None:
    venue.faults["submit"] = [lost, done, lost]
    venue.faults["cancel"] = [lost]
    venue.faults["reports"] = [done, failing(VenueUnreachable("down"))]


def without_conditional_close(venue: ScriptedVenue) -> None:
    venue.closes_with_entry, venue.margin = False, timedelta(seconds=1)


def listing_late(venue: ScriptedVenue) -> None:
    venue.lists_after = timedelta(seconds=3)


WEATHERS = [calm, losing_answers, without_conditional_close, listing_late]


def live_through(case: Case, kill: KillAt) -> None:
    """A long and a short, filled away from their prices, trailed, closed by a stop and by a decision."""
    first = {"holder": "first", "checkpoint": kill, "killed": kill.killed}

    def step() -> None:
        """What a decision run does; a killed one is followed by another one."""
        if kill.killed.is_set():
            case.carry_out(holder="second")
            return
        with suppress(Killed):
            case.carry_out(**first)
        if kill.killed.is_set():
            case.carry_out(holder="second")

    case.venue.prices[BTC] = Decimal("100.7")
    case.entry(BTC)
    case.entry(ETH, side=Side.SELL)
    step()
    case.wait(minutes=1)
    case.candle(100, 106, 105.5)
    case.venue.prices[BTC] = Decimal("105.5")
    step()
    case.wait(minutes=1)
    case.venue.trade_at(ETH, Decimal("103"))
    case.exit(BTC)
    step()
    case.wait(minutes=1)
    case.exit(BTC)
    step()


def boundaries(weather: Callable[[ScriptedVenue], None]) -> list[str]:
    case, counting = Case(), KillAt(0)
    weather(case.venue)
    live_through(case, counting)
    return counting.names


def test_the_weathers_pass_every_boundary() -> None:
    passed = {name for weather in WEATHERS for name in boundaries(weather)}
    assert passed >= {*CHECKPOINTS, Checkpoint.TRAILED, Checkpoint.STOP_INTENDED}
    assert passed <= set(Checkpoint)


@pytest.mark.parametrize("weather", WEATHERS)
def test_killed_at_any_boundary_the_next_process_leaves_nothing_doubled_lost_or_bare(
    weather: Callable[[ScriptedVenue], None],
) -> None:
    names = boundaries(weather)
    for number in range(1, len(names) + 1):
        case, kill = Case(), KillAt(number)
        weather(case.venue)
        live_through(case, kill)
        case.carry_out_until_done()
        case.check_books()
        assert case.position(BTC) is None, names[number - 1]
        assert case.position(ETH) is None, names[number - 1]
        sold = sum(each.filled for each in case.venue.of(BTC, OrderKind.EXIT))
        assert sold + sum(each.filled for each in case.venue.of(BTC, OrderKind.STOP)) == 1
        # A stop that died on its way counts as missing until its deadline and the venue's margin are over.
        assert {each.kind for each in case.journal.halts(ACCOUNT)} <= {HaltKind.PROTECTION}
