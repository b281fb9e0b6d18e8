"""What a position holds is covered by a stop at the venue, at its present level; or the position is closed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.doubles.venue import Listed, done, failing, lost
from tests.trading.execution.execution_case import ACCOUNT, BTC, ETH, RULES, Case, S, instrument
from trading.errors import VenueRefused, VenueUnreachable
from trading.market import Pair, PairStatus
from trading.orders import OrderIntent, OrderKind, Side
from trading.risk import HaltKind


def resting(case: Case) -> list[tuple[Decimal, Decimal | None]]:
    return [(each.left, each.trigger) for each in case.venue.resting(BTC)]


def entry_at_venue(case: Case) -> Listed:
    return case.venue.of(BTC, OrderKind.ENTRY)[0]


@pytest.mark.parametrize("with_entry", [True, False])
def test_the_stop_covers_the_first_part_of_an_entry_and_every_later_one(with_entry: bool) -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = with_entry, timedelta(seconds=1)
    case.venue.holds.add(BTC)
    case.entry()
    case.carry_out()
    for part in ("0.2", "0.5", "0.3"):
        case.venue.fill(entry_at_venue(case), Decimal(part))
        case.wait(seconds=10)
        case.carry_out()
        case.check_books()
    position = case.position()
    assert position is not None
    assert position.quantity == 1


@pytest.mark.parametrize(("side", "filled", "stop"), [(Side.BUY, "101", "99"), (Side.SELL, "98.5", "100.5")])
def test_levels_and_the_resting_stop_move_with_the_price_of_the_fill(
    side: Side, filled: str, stop: str
) -> None:
    case = Case()
    case.venue.prices[BTC] = Decimal(filled)
    case.entry(side=side)
    case.carry_out()
    position = case.position()
    assert position is not None
    assert position.stop_loss == Decimal(stop)
    assert resting(case) == [(Decimal(1), Decimal(stop))]
    assert abs(position.entry_price - position.stop_loss) == 2
    case.check_books()


def test_a_fill_beyond_the_decided_stop_is_protected_at_the_distance_that_was_decided() -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    case.venue.prices[BTC] = Decimal("97.9")
    case.entry()
    case.carry_out()
    assert resting(case) == [(Decimal(1), Decimal("95.9"))]
    case.check_books()


def test_the_stop_trails_by_moving_never_by_a_second_order() -> None:
    case = Case()
    case.bought()
    for low, high, stop in [
        (99.5, 102.0, "98"),
        (101.0, 104.0, "102"),
        (103.0, 104.0, "102"),
        (104, 107, "105"),
    ]:
        case.wait(minutes=1)
        case.candle(low, high, high)
        case.venue.prices[BTC] = Decimal(str(high))
        case.carry_out()
        assert resting(case) == [(Decimal(1), Decimal(stop))]
    assert len(case.venue.of(BTC, OrderKind.STOP)) == 1
    case.check_books()


def test_the_trail_goes_on_in_another_process_without_the_candles_before() -> None:
    case = Case()
    case.bought()
    case.wait(minutes=1)
    case.candle(101, 104, 104)
    case.venue.prices[BTC] = Decimal(104)
    case.carry_out(holder="first")
    case.rows.clear()
    case.wait(minutes=1)
    case.candle(103, 105, 105)
    case.venue.prices[BTC] = Decimal(105)
    case.carry_out(holder="second")
    assert resting(case) == [(Decimal(1), Decimal(103))]


def test_a_stop_that_did_not_move_at_the_venue_is_moved_by_the_next_call() -> None:
    case = Case()
    case.bought()
    case.wait(minutes=1)
    case.candle(101, 104, 104)
    case.venue.prices[BTC] = Decimal(104)
    case.venue.faults["amend"] = [failing(VenueUnreachable("down"))] * 100
    result = case.carry_out()
    assert any("could not be moved to 102" in problem for problem in result.problems)
    case.venue.faults.clear()
    case.carry_out(holder="second")
    assert resting(case) == [(Decimal(1), Decimal(102))]
    case.check_books()


def slow(
    case: Case, meanwhile: Callable[[], object] = lambda: None
) -> Callable[[Callable[[], object]], object]:
    """A look that takes longer than the rules' patience."""

    def look(act: Callable[[], object]) -> object:
        case.wait(seconds=6)
        meanwhile()
        return act()

    return look


def test_a_stop_has_its_turn_in_every_call_however_slow_the_looks_are() -> None:
    case = Case()
    case.bought()
    case.venue.faults["reports"] = [slow(case)] * 3
    for close in (104, 106, 108):
        case.wait(minutes=1)
        case.candle(close - 1, close, close)
        case.venue.prices[BTC] = Decimal(close)
        case.carry_out()
        assert resting(case) == [(Decimal(1), Decimal(close - 2))]
    assert case.venue.faults["reports"] == []
    case.check_books()


def test_a_missing_stop_is_placed_however_slow_the_look_was() -> None:
    case = Case()
    case.bought(BTC)
    case.bought(ETH)  # whose stop is looked at
    (stop,) = case.venue.resting(BTC)
    stop.status = S.CANCELLED
    case.venue.faults["submit"] = [failing(VenueUnreachable("down"))] * 100
    case.carry_out()
    case.venue.faults.clear()
    case.venue.faults["reports"] = [slow(case)]
    case.carry_out()
    assert resting(case) == [(Decimal(1), Decimal(98))]
    case.check_books()


def test_a_call_that_a_look_has_taken_all_the_time_of_says_what_has_not_had_its_turn() -> None:
    case = Case()
    case.bought()
    decided: list[OrderIntent] = []
    case.venue.faults["reports"] = [slow(case, lambda: decided.append(case.entry(ETH)))]
    result = case.carry_out()
    assert [case.status(each) for each in decided] == [S.INTENDED]
    assert result.problems == ()
    assert result.leaves_work
    assert not case.carry_out(holder="second").leaves_work
    assert [case.status(each) for each in decided] == [S.FILLED]


def test_the_candle_of_the_fill_counts() -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    case.wait(seconds=5)
    case.entry(take_profit=Decimal(103), trailing_after=None)
    case.carry_out()
    case.wait(seconds=55)
    case.candle(99, 103.5, 101)
    case.carry_out()
    position = case.position()
    assert position is not None
    assert position.exit_reason == "take-profit 103 was touched (at 103.5)"


def test_a_stop_that_the_price_has_passed_already_closes_the_position_at_once() -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    case.entry()
    case.venue.faults["stops_of"] = [failing(VenueUnreachable("down"))] * 100
    case.carry_out()
    case.venue.faults.clear()
    case.wait(minutes=1)
    case.candle(96, 100, 97)
    case.venue.prices[BTC] = Decimal(97)
    case.carry_out()
    assert case.position() is None
    assert [each.filled for each in case.venue.of(BTC, OrderKind.EXIT)] == [Decimal(1)]
    assert case.journal.halts(ACCOUNT) == []
    case.check_books()


def test_a_refused_stop_that_the_price_does_not_explain_closes_the_position_and_halts_the_account() -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    case.venue.faults["submit"] = [done, failing(VenueRefused("no stops today"))]
    case.entry()
    result = case.carry_out()
    assert case.position() is None
    assert [each.kind for each in case.journal.halts(ACCOUNT)] == [HaltKind.PROTECTION]
    assert any("no stops today" in problem for problem in result.problems)
    case.check_books()


def test_a_position_without_its_stop_for_too_long_is_closed_and_the_account_halts() -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    down = failing(VenueUnreachable("no stops now"))
    case.venue.faults["submit"] = [done, *[down] * 1000]
    case.entry()
    case.carry_out()
    opened_at = case.now()
    while case.now() - opened_at < RULES.protected_within:
        case.wait(seconds=5)
        assert case.journal.halts(ACCOUNT) == []
        case.carry_out(holder="keeper")
    case.venue.faults.clear()
    case.wait(seconds=5)
    case.carry_out(holder="keeper")
    assert case.position() is None
    assert [each.kind for each in case.journal.halts(ACCOUNT)] == [HaltKind.PROTECTION]
    case.check_books()


def test_a_stop_whose_placing_got_no_answer_is_never_placed_twice() -> None:
    case = Case()
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=5)
    case.venue.faults["submit"] = [done, lost]
    case.entry()
    case.venue.lists_after = timedelta(seconds=4)
    case.carry_out_until_done()
    assert len(case.venue.of(BTC, OrderKind.STOP)) == 1
    case.check_books()


def test_the_stop_of_an_entry_that_the_venue_lists_late_is_waited_for_and_not_placed_twice() -> None:
    case = Case()
    case.venue.lists_after = timedelta(seconds=40)
    case.entry()
    case.carry_out_until_done()
    assert len(case.venue.of(BTC, OrderKind.STOP)) == 1
    case.check_books()


def test_an_exit_waits_for_a_stop_that_rests_at_the_venue_unlisted() -> None:
    case = Case()
    case.venue.lists_after = timedelta(seconds=40)
    case.entry()
    case.carry_out()
    case.wait(seconds=36)
    case.carry_out()
    assert case.position() is not None
    case.exit()
    case.carry_out_until_done()
    assert case.position() is None
    case.check_books()


def test_a_stop_that_never_came_with_its_entry_is_placed_once_that_is_sure() -> None:
    case = Case()
    case.venue.closes_with_entry = False
    case.entry()
    case.carry_out_until_done()
    assert resting(case) == [(Decimal(1), Decimal(98))]
    case.check_books()


def test_the_stop_of_an_entry_that_is_booked_while_another_one_trails_is_not_placed_twice() -> None:
    case = Case()
    case.bought()
    case.venue.holds.add(BTC)
    second = case.entry()
    case.carry_out()
    held = next(each for each in case.venue.of(BTC, OrderKind.ENTRY) if each.left)
    booked: list[str] = []
    candles = case.candles

    def books_a_fill(pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
        """The executor looks at candles between two looks at the position; another thread books just then."""
        if not booked:
            booked.append(second.intent_id)
            case.venue.fill(held)
            working = case.journal.working_order(second.intent_id)
            assert working is not None
            report = case.venue.reports([working])[second.intent_id]
            filled = replace(working.order, status=report.status, updated_at=case.now())
            case.journal.record_order(filled, report.fills, "booked by another thread")
        return candles(pair, since, until)

    case.candles = books_a_fill  # type: ignore[method-assign]
    case.carry_out()
    assert booked
    position = case.position()
    assert position is not None
    assert position.quantity == 2
    assert resting(case) == [(Decimal(1), Decimal(98)), (Decimal(1), Decimal(98))]
    case.check_books()


def test_dust_is_said_and_neither_protected_nor_sold_for_ever() -> None:
    case = Case()
    case.venue.holds.add(BTC)
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    entry = case.entry()
    case.carry_out()
    case.venue.fill(entry_at_venue(case), Decimal("0.0005"))
    case.journal.request_cancel(entry.intent_id, "a person", case.now())
    case.wait(seconds=10)
    for _ in range(3):
        result = case.carry_out()
        case.wait(minutes=2)
    assert any("is dust" in problem for problem in result.problems)
    assert [each.kind for each in case.venue.orders.values()] == [OrderKind.ENTRY]
    assert case.journal.halts(ACCOUNT) == []


def test_dust_with_a_reason_to_be_closed_takes_no_entry_of_its_pair_away() -> None:
    case = Case()
    case.bought(quantity="0.5")
    case.venue.fill(case.venue.resting(BTC)[0], Decimal("0.4995"))
    case.carry_out()
    held = case.position()
    assert held is not None
    assert case.journal.update_protection(replace(held, exit_reason="take-profit 110 was touched"))
    entry = case.entry(stop_loss=Decimal(97))
    assert not case.process().order_exits(ACCOUNT, case.now())
    assert case.status(entry) is S.INTENDED
    case.carry_out()
    grown = case.position()
    assert grown is not None
    assert (case.status(entry), grown.quantity, grown.exit_reason) == (S.FILLED, Decimal("1.0005"), "")


def test_what_opens_a_touched_position_is_taken_off_once() -> None:
    case = Case()
    case.bought()
    case.venue.holds.add(BTC)
    second = case.entry()
    case.carry_out()
    held = case.position()
    assert held is not None
    assert case.journal.update_protection(replace(held, exit_reason="take-profit 110 was touched"))
    orders = case.process()
    assert orders.order_exits(ACCOUNT, case.now())
    assert not orders.order_exits(ACCOUNT, case.now())  # both are under way
    working = case.journal.working_order(second.intent_id)
    assert working is not None
    assert working.order.cancel_reason == "take-profit 110 was touched"


@pytest.mark.parametrize("taken", ["1", "0.4"])
def test_an_exit_sells_what_the_stop_has_left_when_it_fires_while_it_is_cancelled(taken: str) -> None:
    case = Case()
    case.bought()
    (stop,) = case.venue.resting(BTC)

    def fires(act: Any) -> object:
        case.venue.fill(stop, Decimal(taken))
        return act()

    case.venue.faults["cancel"] = [fires]
    leaving = case.exit()
    case.carry_out()
    assert case.position() is None
    assert case.status(leaving) is S.CANCELLED
    sold = sum(each.filled for each in case.venue.of(BTC, OrderKind.EXIT))
    assert sold == 1 - Decimal(taken)
    case.check_books()


def test_a_stop_that_rests_at_the_venue_unknown_to_the_ledger_is_taken_off_before_the_exit() -> None:
    case = Case()
    case.entry()
    case.venue.faults["stops_of"] = [failing(VenueUnreachable("down"))] * 20
    case.carry_out()
    case.venue.faults.clear()
    assert len(case.journal.working_orders(ACCOUNT)) == 0
    leaving = case.exit()
    case.carry_out()
    assert case.status(leaving) is S.FILLED
    case.check_books()


def test_a_stop_stays_while_the_venue_takes_no_market_orders() -> None:
    case = Case()
    case.bought()
    case.venue.instruments[BTC] = instrument(BTC, status=PairStatus.CANCEL_ONLY)
    leaving = case.exit()
    result = case.carry_out()
    assert case.status(leaving) is S.INTENDED
    assert any("cancel_only" in problem for problem in result.problems)
    case.check_books()
    case.venue.instruments[BTC] = instrument(BTC)
    case.carry_out()
    assert case.status(leaving) is S.FILLED
    case.check_books()


def test_a_position_whose_exit_cannot_be_sent_gets_its_stop_back() -> None:
    case = Case()
    case.bought()

    def only_stops(act: Any) -> object:
        raise VenueUnreachable("cancel_only")

    leaving = case.exit()
    exits = 0

    def refuse_exits(act: Any) -> object:
        nonlocal exits
        order = case.journal.order(leaving.intent_id) if leaving else None
        if order is not None and order.status is S.SENT:
            exits += 1
            return only_stops(act)
        return act()

    case.venue.faults["submit"] = [refuse_exits] * 100
    case.carry_out()
    assert exits > 0
    assert case.status(leaving) is S.INTENDED
    case.check_books()


def test_a_stop_that_filled_in_part_goes_on_covering_the_rest() -> None:
    case = Case()
    case.bought()
    case.venue.fill(case.venue.resting(BTC)[0], Decimal("0.4"))
    case.carry_out()
    assert resting(case) == [(Decimal("0.6"), Decimal(98))]
    case.check_books()


def test_a_stop_that_somebody_cancelled_at_the_venue_is_placed_again() -> None:
    case = Case()
    case.bought()
    (stop,) = case.venue.resting(BTC)
    stop.status = S.CANCELLED
    case.wait(minutes=1)
    case.carry_out()
    assert resting(case) == [(Decimal(1), Decimal(98))]
    case.check_books()


def test_an_entry_of_a_pair_that_the_venue_does_not_trade_is_rejected() -> None:
    case = Case()
    entry = case.entry()
    del case.venue.instruments[BTC]
    case.carry_out()
    assert case.status(entry) is S.REJECTED


def test_an_order_that_rests_is_followed_for_as_long_as_the_rules_say() -> None:
    case = Case()
    quick = replace(RULES, patience=timedelta(seconds=1))
    case.venue.holds.add(BTC)
    case.entry()
    case.carry_out(rules=quick)
    assert 1 <= case.clock.now < 2


@pytest.mark.parametrize("part", ["0.0009", "0.04"])
def test_a_part_that_is_too_small_for_a_stop_of_its_own_is_named(part: str) -> None:
    case = Case()
    case.venue.instruments[BTC] = replace(case.venue.instruments[BTC], minimum_cost=Decimal(5))
    case.venue.closes_with_entry, case.venue.margin = False, timedelta(seconds=1)
    case.venue.holds.add(BTC)
    case.entry()
    case.carry_out()
    (entry,) = case.venue.of(BTC, OrderKind.ENTRY)
    for filled in ("0.5", part):
        case.venue.fill(entry, Decimal(filled))
        case.wait(seconds=5)
        result = case.carry_out()
    assert [stop.left for stop in case.venue.resting(BTC)] == [Decimal("0.5")]
    assert any(
        f"{part} of {Decimal(part) + Decimal('0.5')} BTC/USDT has no stop" in problem
        for problem in result.problems
    )
