"""What stops entries is read at the moment of sending, and takes those off the venue that still wait there."""

from datetime import timedelta
from decimal import Decimal

from tests.doubles.venue import failing
from tests.trading.execution.execution_case import ACCOUNT, BTC, ETH, Case, S
from trading.errors import VenueUnreachable
from trading.orders import OrderKind, Side
from trading.risk import Halt, HaltKind, Resume


def pause(case: Case) -> None:
    case.journal.begin_halts(ACCOUNT, [Halt(HaltKind.DRAWDOWN, case.now(), None, "deep")])


def test_an_entry_that_waits_is_cancelled_when_the_account_is_paused_before_it_is_sent() -> None:
    case = Case()
    entry = case.entry()
    pause(case)
    case.carry_out()
    assert case.status(entry) is S.CANCELLED
    assert not case.venue.orders


def test_a_pause_between_the_look_and_the_sending_stops_the_entry() -> None:
    case = Case()
    entry = case.entry()
    case.carry_out(checkpoint=lambda name: pause(case) if name == "before sent" else None)
    assert case.status(entry) is S.CANCELLED
    assert not case.venue.orders


def test_a_pause_that_is_younger_than_the_run_s_clock_stops_the_entry() -> None:
    case = Case()
    read, entry = case.now(), case.entry()
    case.wait(seconds=3)
    pause(case)
    case.process().carry_out(ACCOUNT, read)
    assert case.status(entry) is S.CANCELLED
    assert not case.venue.orders


def test_a_pause_that_is_younger_than_the_run_s_clock_takes_an_entry_off_the_venue() -> None:
    case = Case()
    case.venue.holds.add(BTC)
    read, entry = case.now(), case.entry()
    case.carry_out()
    case.wait(seconds=3)
    pause(case)
    case.process().carry_out(ACCOUNT, read)
    assert case.status(entry) is S.CANCELLED


def test_a_kill_between_the_look_and_the_sending_stops_the_entry() -> None:
    case, passed = Case(), list[str]()
    entry = case.entry()
    case.carry_out(checkpoint=passed.append, kill_requested=lambda: "KILL" if "before sent" in passed else "")
    assert case.status(entry) is S.CANCELLED
    assert not case.venue.orders


def test_a_second_kill_holds_for_everybody_where_the_account_s_clock_stands_still() -> None:
    case, at = Case(), Case().now()
    for _ in range(2):
        case.process(kill_requested=lambda: "KILL").carry_out(ACCOUNT, at)
        entry = case.entry()
        case.process(holder="another machine").carry_out(ACCOUNT, at)
        assert case.status(entry) is S.CANCELLED
        case.journal.resume(ACCOUNT, Resume(at, "ada", "looked"), Decimal(1))
    assert not case.venue.orders


def test_a_pause_takes_an_entry_off_the_venue_and_leaves_what_it_bought_protected() -> None:
    case = Case()
    case.venue.holds.add(BTC)
    entry = case.entry()
    case.carry_out()
    case.venue.fill(case.venue.of(BTC, OrderKind.ENTRY)[0], Decimal("0.3"))
    pause(case)
    case.carry_out()
    assert case.status(entry) is S.CANCELLED
    position = case.position()
    assert position is not None
    assert position.quantity == Decimal("0.3")
    case.check_books()


def test_exits_go_on_while_the_account_is_paused() -> None:
    case = Case()
    case.bought()
    pause(case)
    closing = case.exit()
    case.carry_out()
    assert case.status(closing) is S.FILLED
    case.check_books()


def test_a_kill_begins_a_halt_once_and_cancels_what_waits() -> None:
    case = Case()
    case.venue.faults["submit"] = [failing(VenueUnreachable("down"))] * 50
    entry = case.entry()
    case.carry_out()
    assert case.status(entry) is S.INTENDED
    for _ in range(2):
        case.carry_out(kill_requested=lambda: "a file named KILL")
        case.wait(seconds=1)
    assert case.status(entry) is S.CANCELLED
    assert [(each.kind, each.reason) for each in case.journal.halts(ACCOUNT)] == [
        (HaltKind.KILL_SWITCH, "a file named KILL")
    ]


def test_a_switch_that_is_pulled_during_the_sending_stops_no_exit() -> None:
    case = Case()
    case.bought()
    closing = case.exit()
    case.carry_out(kill_requested=lambda: "a file named KILL")
    assert case.status(closing) is S.FILLED
    case.check_books()


def test_an_entry_too_old_by_the_account_s_clock_is_never_sent() -> None:
    case = Case()
    entry = case.entry()
    case.wait(hours=3)
    case.carry_out()
    assert case.status(entry) is S.EXPIRED
    assert not case.venue.orders


def test_a_turn_of_the_consensus_takes_the_waiting_entry_off_before_the_other_side_is_sent() -> None:
    case = Case()
    case.venue.holds.add(BTC)
    long = case.entry()
    case.carry_out()
    case.venue.faults["cancel"] = [failing(VenueUnreachable("down"))]
    case.venue.calls.clear()
    case.wait(minutes=1)
    short = case.entry(side=Side.SELL)
    case.journal.request_cancel(long.intent_id, "the consensus has turned", case.now())
    case.carry_out()
    assert (case.status(long), case.status(short)) == (S.CANCELLED, S.ACKNOWLEDGED)
    order = [method for method, _ in case.venue.calls if method in ("cancel", "submit")]
    assert order == ["cancel", "cancel", "submit"]


def test_flattening_closes_everything_and_what_an_entry_buys_meanwhile() -> None:
    case = Case()
    case.bought(ETH)
    case.venue.holds.add(BTC)
    case.entry()
    case.carry_out()
    (entry,) = case.venue.of(BTC, OrderKind.ENTRY)

    def buys_before_it_leaves(act: object) -> object:
        case.venue.fill(entry, Decimal("0.5"))
        case.venue.holds.clear()
        assert callable(act)
        return act()

    case.venue.faults["cancel BTC/USDT"] = [buys_before_it_leaves]
    case.process().flatten(ACCOUNT, case.now(), "a person said so")
    assert case.journal.positions(ACCOUNT) == []
    assert [each.filled for each in case.venue.of(BTC, OrderKind.EXIT)] == [Decimal("0.5")]
    case.check_books()


def test_flattening_some_pairs_leaves_the_others() -> None:
    case = Case()
    case.bought(BTC)
    case.bought(ETH)
    case.process().flatten(ACCOUNT, case.now(), "a person said so", pairs=[ETH])
    assert [each.pair for each in case.journal.positions(ACCOUNT)] == [BTC]
    case.check_books()


def test_flattening_at_a_venue_that_is_down_leaves_an_exit_that_later_calls_send() -> None:
    case = Case()
    case.bought()
    case.venue.faults["submit"] = [failing(VenueUnreachable("down"))] * 100
    result = case.process().flatten(ACCOUNT, case.now(), "a person said so")
    assert any("VenueUnreachable" in problem for problem in result.problems)
    assert case.position() is not None
    case.venue.faults["submit"].clear()
    case.wait(seconds=timedelta(minutes=1).total_seconds())
    case.carry_out()
    assert case.position() is None
    case.check_books()
