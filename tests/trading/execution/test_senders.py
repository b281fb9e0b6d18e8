"""One sends, whoever else wants to; and exits wait for nobody."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.doubles.threads import at_once
from tests.doubles.venue import failing, lost
from tests.trading.execution.execution_case import ACCOUNT, BTC, DOGE, ETH, RULES, XRP, Case, S
from trading.errors import (
    InvalidMessage,
    LeaseLost,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueUnreachable,
)
from trading.execution import Checkpoint
from trading.orders import OrderKind

LONG_ENOUGH = 60.0  # seconds after which a test gives up waiting for another thread


def test_of_two_processes_at_once_one_sends() -> None:
    case = Case()
    for pair in (BTC, ETH, XRP):
        case.entry(pair)
    at_once(lambda holder: case.carry_out(holder=holder), ["first", "second", "third"])
    assert sorted(str(each.pair) for each in case.venue.orders.values() if each.kind is OrderKind.ENTRY) == [
        "BTC/USDT", "ETH/USDT", "XRP/USDT",
    ]  # fmt: skip
    case.carry_out_until_done()
    case.check_books()


def test_threads_of_one_process_do_not_send_one_order_twice() -> None:
    case = Case()
    case.entry()
    executor = case.process()
    at_once(lambda _: executor.carry_out(ACCOUNT, case.now()), range(4))
    assert len(case.venue.of(BTC, OrderKind.ENTRY)) == 1
    case.check_books()


def test_a_sender_whose_lease_went_to_another_sends_nothing() -> None:
    case = Case()
    entry = case.entry()

    def takes_too_long(name: str) -> None:
        if name == "before sent":
            case.wait(seconds=RULES.lease_seconds + 1)
            assert case.journal.acquire_lease(ACCOUNT, "another", 60) is not None

    result = case.carry_out(checkpoint=takes_too_long)
    assert result.sent_by_another
    assert not case.venue.orders
    assert case.status(entry) is S.INTENDED


def test_the_ledger_refuses_a_late_sender() -> None:
    case = Case()
    entry = case.entry()
    late = case.journal.acquire_lease(ACCOUNT, "late", 15)
    assert late is not None
    case.wait(seconds=16)
    assert case.journal.acquire_lease(ACCOUNT, "next", 15) is not None
    with pytest.raises(LeaseLost):
        case.journal.mark_sent(entry.intent_id, late, case.now(), case.now(), case.now())


def test_a_killed_sender_s_orders_are_taken_over_once_its_lease_has_ended() -> None:
    case = Case()
    assert case.journal.acquire_lease(ACCOUNT, "killed", 15) is not None
    entry = case.entry()
    result = case.carry_out()
    assert case.status(entry) is S.FILLED
    assert not result.sent_by_another
    assert 14.9 < case.clock.now < 20


def test_without_anything_to_do_neither_lease_nor_venue_is_asked() -> None:
    case = Case()
    assert case.journal.acquire_lease(ACCOUNT, "another", 15) is not None
    result = case.carry_out()
    assert (result.orders, result.problems, case.venue.calls, case.clock.now) == ((), (), [], 0)


def test_a_first_send_needs_no_look_up() -> None:
    case = Case()
    case.entry()
    case.carry_out()
    assert case.venue.calls[0] == ("submit", "BTC/USDT")


def test_exits_of_several_pairs_are_on_their_way_at_once() -> None:
    case = Case()
    pairs = [BTC, ETH, XRP, DOGE]
    for pair in pairs:
        case.bought(pair)
    together = threading.Barrier(len(pairs))

    def meet(act: object) -> object:
        together.wait(LONG_ENOUGH)
        assert callable(act)
        return act()

    case.venue.faults["submit"] = [meet] * len(pairs)
    for pair in pairs:
        case.exit(pair)
    case.carry_out()
    assert case.journal.positions(ACCOUNT) == []
    case.check_books()


def test_an_exit_leaves_while_the_answer_to_an_entry_is_still_awaited() -> None:
    case = Case()
    case.bought(ETH)
    asked, closed = threading.Event(), threading.Event()

    def hangs(act: object) -> object:
        asked.set()
        assert closed.wait(LONG_ENOUGH)
        raise OutcomeUnknown("no answer came")

    case.venue.faults["submit BTC/USDT"] = [hangs]
    case.entry(BTC)
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(case.carry_out, holder="holder")
        assert asked.wait(LONG_ENOUGH)
        leaving = case.exit(ETH)  # another process decides; who sends is the holder
        watch = threading.Event()
        while case.status(leaving) is not S.FILLED:
            assert not holder.done()
            watch.wait(0.01)
        closed.set()
        holder.result()
    assert case.position(ETH) is None
    case.carry_out_until_done()
    case.check_books()


def test_an_exit_does_not_wait_for_look_ups_of_an_entry_without_an_outcome() -> None:
    case = Case()
    case.bought(ETH)
    case.venue.faults["submit BTC/USDT"] = [lost]
    case.venue.lists_after = timedelta(hours=1)
    case.entry(BTC)
    case.carry_out()
    case.venue.lists_after = timedelta(0)
    begin = case.clock.now
    leaving = case.exit(ETH)
    times: list[float] = []

    def note(name: str) -> None:
        if name == Checkpoint.SUBMITTED:
            times.append(case.clock.now)

    case.carry_out(checkpoint=note)
    assert case.status(leaving) is S.FILLED
    assert times == [begin]


@pytest.mark.parametrize(
    "error", [VenueUnreachable("down"), RateLimited("wait 5 s"), NotAuthorised("bad key")]
)
def test_what_goes_wrong_for_one_pair_is_said_and_the_others_go_on(error: Exception) -> None:
    case = Case()
    case.venue.faults["submit BTC/USDT"] = [failing(error)] * 100  # type: ignore[arg-type]
    stuck, fine = case.entry(BTC), case.entry(ETH)
    result = case.carry_out()
    assert (case.status(stuck), case.status(fine)) == (S.INTENDED, S.FILLED)
    assert [str(error) in problem for problem in result.problems] == [True]
    case.venue.faults.clear()
    case.carry_out()
    assert case.status(stuck) is S.FILLED
    case.check_books()


def test_a_time_that_cannot_be_read_leaves_the_order_to_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case()

    def unreadable() -> None:
        raise InvalidMessage("Kraken Time", "garbage")

    entry = case.entry()
    with monkeypatch.context() as garbage:
        garbage.setattr(case.venue, "void_after", unreadable)
        result = case.carry_out()
    assert (case.status(entry), case.venue.orders) == (S.INTENDED, {})
    assert ["Kraken Time: garbage" in problem for problem in result.problems] == [True]
    case.carry_out()
    assert case.status(entry) is S.FILLED
    case.check_books()


def test_an_answer_to_an_order_that_cannot_be_read_is_never_taken_for_a_no() -> None:
    case = Case()

    def unreadable(act: Callable[[], object]) -> object:
        act()
        raise InvalidMessage("Kraken AddOrder", "garbage")

    case.venue.faults["submit"] = [unreadable]
    entry = case.entry()
    case.carry_out()
    assert case.status(entry) is S.UNKNOWN
    case.carry_out_until_done()
    assert case.status(entry) is S.FILLED
    assert len(case.venue.of(BTC, OrderKind.ENTRY)) == 1
    case.check_books()


def test_a_venue_that_is_down_loses_nothing() -> None:
    case = Case()
    case.bought(ETH)
    entry, leaving = case.entry(BTC), case.exit(ETH)
    for method in ("submit", "cancel", "reports", "stops_of", "amend"):
        case.venue.faults[method] = [failing(VenueUnreachable("down"))] * 500
    result = case.carry_out()
    assert any("VenueUnreachable" in problem for problem in result.problems)
    case.venue.faults.clear()
    case.wait(minutes=1)
    case.carry_out_until_done()
    assert (case.status(entry), case.status(leaving)) == (S.FILLED, S.FILLED)
    assert [each.filled for each in case.venue.of(ETH, OrderKind.EXIT)] == [Decimal(1)]
    case.check_books()
