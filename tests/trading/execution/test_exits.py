"""A position is sold once, whatever candles pass while its exit has no outcome."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.doubles.venue import Fault, failing, lost, never_arrived
from tests.trading.execution.execution_case import ACCOUNT, BTC, ETH, Case, S
from trading.errors import RateLimited, VenueRefused, VenueUnreachable
from trading.invalidation import Invalidation, InvalidationKind
from trading.market import PairStatus
from trading.orders import OrderKind


def test_an_entry_is_filled_and_its_stop_is_known() -> None:
    case = Case()
    entry = case.bought()
    assert case.status(entry) is S.FILLED
    case.check_books()


def test_an_exit_takes_its_stop_s_place() -> None:
    case = Case()
    case.bought()
    closing = case.exit()
    case.carry_out()
    assert case.status(closing) is S.FILLED
    assert case.position() is None
    case.check_books()


@pytest.mark.parametrize(
    "fault", [lost, never_arrived, failing(VenueUnreachable("down")), failing(RateLimited("wait"))]
)
def test_a_position_is_sold_once_however_many_candles_pass_without_an_outcome(fault: Fault) -> None:
    case = Case()
    case.bought()
    case.venue.faults["submit"] = [fault]
    for _ in range(3):
        case.exit()
        case.carry_out()
        case.wait(minutes=1)
    case.carry_out_until_done()
    assert case.position() is None
    assert [each.filled for each in case.venue.of(BTC, OrderKind.EXIT)] == [Decimal(1)]
    case.check_books()


def test_an_exit_that_the_venue_accepts_and_does_not_fill_is_not_sent_again() -> None:
    case = Case()
    case.bought()
    case.venue.holds.add(BTC)
    for _ in range(3):
        case.exit()
        case.carry_out()
        case.wait(minutes=1)
    (resting,) = case.venue.of(BTC, OrderKind.EXIT)
    case.venue.fill(resting, Decimal("0.4"))
    case.exit()
    case.carry_out()
    case.venue.fill(resting)
    case.carry_out_until_done()
    assert case.position() is None
    case.check_books()


@pytest.mark.parametrize("status", [PairStatus.CANCEL_ONLY, PairStatus.MAINTENANCE])
def test_a_stop_stays_where_the_pair_has_just_been_closed_for_market_orders(status: PairStatus) -> None:
    case = Case()
    case.bought()
    online = case.venue.instruments[BTC]
    case.venue.changes[BTC] = replace(online, status=status)
    closing = case.exit()
    result = case.carry_out()
    assert case.status(closing) is S.INTENDED
    assert any(status.value in problem for problem in result.problems)
    assert [(each.left, each.trigger) for each in case.venue.resting(BTC)] == [(Decimal(1), Decimal(98))]
    assert ("cancel", str(BTC)) not in case.venue.calls
    case.venue.instruments[BTC] = online
    case.carry_out()
    assert case.position() is None
    case.check_books()


def test_an_exit_that_is_listed_late_is_sent_once() -> None:
    case = Case()
    case.bought()
    case.venue.lists_after = timedelta(seconds=45)
    case.venue.faults["submit"] = [lost]
    for _ in range(3):
        case.exit()
        case.carry_out()
        case.wait(seconds=20)
    case.carry_out_until_done()
    assert case.position() is None
    case.check_books()


def test_a_position_with_a_reason_to_close_is_closed_without_a_decision_and_once() -> None:
    case = Case()
    case.bought()
    case.bought(ETH)
    held = case.position()
    assert held is not None
    assert not case.process().order_exits(ACCOUNT, case.now())
    case.journal.update_protection(replace(held, exit_reason="take-profit 110 was touched (at 110.5)"))
    assert case.process("guard").order_exits(ACCOUNT, case.now())
    assert not case.process("another").order_exits(ACCOUNT, case.now())
    case.carry_out()
    assert case.position() is None
    assert case.position(ETH) is not None
    (closing,) = case.venue.of(BTC, OrderKind.EXIT)
    assert closing.filled == Decimal(1)
    case.check_books()


@pytest.mark.parametrize("kind", [InvalidationKind.LEVEL, InvalidationKind.TIME])
def test_an_invalidated_position_is_closed_at_the_exchange_without_a_decision_and_its_stop_goes_first(
    kind: InvalidationKind,
) -> None:
    """The keeper walks a candle that closes beyond the level, above the stop at 98; the guard orders the exit."""
    case = Case()
    condition = Invalidation(
        kind,
        "trader-a",
        level=Decimal(99) if kind is InvalidationKind.LEVEL else None,
        at=case.now() + timedelta(minutes=1) if kind is InvalidationKind.TIME else None,
    )
    case.bought(invalidations=(condition,))
    case.wait(minutes=1)
    case.candle(98.6, 101, 98.9 if kind is InvalidationKind.LEVEL else 100.5)
    case.carry_out()
    held = case.position()
    assert held is not None
    assert held.exit_reason.startswith("invalidated (trader-a)")
    assert case.process("guard").order_exits(ACCOUNT, case.now())
    assert not case.process("another").order_exits(ACCOUNT, case.now())
    case.carry_out()
    assert case.position() is None
    assert case.venue.resting(BTC) == []
    case.check_books()


def test_an_exit_that_the_venue_refuses_is_not_ordered_again_at_once() -> None:
    case = Case()
    case.bought()
    held = case.position()
    assert held is not None
    case.journal.update_protection(replace(held, exit_reason="take-profit"))
    case.venue.faults["submit"] = [failing(VenueRefused("EOrder:Trading agreement required"))]
    for _ in range(3):
        case.process().order_exits(ACCOUNT, case.now())
        case.carry_out()
    assert case.venue.of(BTC, OrderKind.EXIT) == []
    case.wait(seconds=61)
    assert case.process().order_exits(ACCOUNT, case.now())
    case.carry_out()
    assert case.position() is None
    case.check_books()
