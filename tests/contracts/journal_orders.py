"""What every journal promises of orders: which states follow each other, and what may be sent."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.contracts.trade import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    bought,
    closing,
    decided,
    exiting,
    fill,
    intent,
    leased,
    opened,
    order,
    receipt,
    sent,
    stop,
)
from tests.doubles.threads import at_once
from trading.errors import InvalidValue, LeaseLost, NotStored
from trading.orders import FINAL, Order, OrderStatus, Side
from trading.ports import Journal
from trading.risk import Halt, HaltKind
from trading.stores.order_rules import begun

S = OrderStatus
LATER = NOON + 2 * HOUR


def stored(journal: Journal, intent_id: str) -> Order:
    found = journal.order(intent_id)
    assert found is not None
    return found


class OrdersContract:
    def test_an_order_begins_as_intended(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        assert journal.order(wanted.intent_id) == Order(wanted.intent_id, S.INTENDED, "", NOON)
        assert journal.order("unknown") is None
        assert journal.working_order("unknown") is None
        assert [change.status for change in journal.order_changes(wanted.intent_id)] == [S.INTENDED]

    def test_an_intent_keeps_all_of_its_plan(self, journal: Journal) -> None:
        plan = {"entry_price": "10000", "trailing_after": "10300", "trailing_distance": "200.5"}
        wanted = decided(opened(journal), **{name: Decimal(value) for name, value in plan.items()})
        assert journal.intent("decision-1") == wanted
        working = journal.working_order(wanted.intent_id)
        assert working is not None
        assert working.intent == wanted

    def test_working_orders_are_listed_oldest_first_until_they_are_final(self, journal: Journal) -> None:
        wanted = [decided(opened(journal), f"decision-{n}", created_at=NOON + n * HOUR) for n in (3, 1, 2, 4)]
        journal.record_order(order(wanted[0], S.REJECTED, "too small", attempt=0), [])
        sent(journal, wanted[1])
        listed = [(each.intent.decision_id, each.order.status) for each in journal.working_orders("paper")]
        assert listed == [("decision-1", S.SENT), ("decision-2", S.INTENDED), ("decision-4", S.INTENDED)]
        assert journal.working_orders("someone") == []

    def test_a_sent_order_knows_its_attempt_and_its_deadline(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        marked = journal.mark_sent(wanted.intent_id, leased(journal), NOON, NOON + SECOND, NOON + MINUTE)
        assert (marked.status, marked.attempt) == (S.SENT, 1)
        assert (marked.sent_at, marked.void_after) == (NOON + SECOND, NOON + MINUTE)
        assert journal.order(wanted.intent_id) == marked

    def test_an_order_is_sent_once_however_often_it_is_asked_for(self, journal: Journal) -> None:
        wanted, lease = decided(opened(journal)), leased(journal)
        first, again = (sent(journal, wanted, lease) for _ in range(2))
        assert (first.attempt, again) == (1, first)

    def test_of_two_threads_that_send_one_order_none_sends_it_twice(self, journal: Journal) -> None:
        wanted, lease = decided(opened(journal)), leased(journal)
        at_once(lambda _: sent(journal, wanted, lease), range(2))
        assert stored(journal, wanted.intent_id).attempt == 1
        assert [change.status for change in journal.order_changes(wanted.intent_id)] == [S.INTENDED, S.SENT]

    def test_an_attempt_that_was_never_taken_can_be_sent_again(self, journal: Journal) -> None:
        wanted, lease = decided(opened(journal)), leased(journal)
        sent(journal, wanted, lease)
        journal.record_order(order(wanted, S.UNKNOWN, "no answer"), [])
        assert journal.record_order(order(wanted, S.INTENDED), [], "never taken").status is S.INTENDED
        assert sent(journal, wanted, lease).attempt == 2

    def test_an_answer_of_an_older_attempt_changes_nothing(self, journal: Journal) -> None:
        wanted, lease = decided(opened(journal)), leased(journal)
        sent(journal, wanted, lease)
        journal.record_order(order(wanted, S.INTENDED), [])
        second = sent(journal, wanted, lease)
        assert journal.record_order(order(wanted, S.REJECTED, "late"), []) == second
        assert journal.record_order(order(wanted, S.INTENDED), []) == second

    @pytest.mark.parametrize("final", sorted(FINAL))
    @pytest.mark.parametrize("later", list(S))
    def test_a_final_order_stays_what_it_is(self, journal: Journal, final: S, later: S) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        fills = [fill(wanted)] if final is S.FILLED else []
        ended = journal.record_order(order(wanted, final), fills)
        assert ended.status is final
        assert journal.record_order(order(wanted, later, "late", updated_at=LATER), fills) == ended
        assert journal.order(wanted.intent_id) == ended

    @pytest.mark.parametrize("late", [S.ACKNOWLEDGED, S.SENT, S.UNKNOWN, S.INTENDED])
    def test_an_answer_that_comes_late_does_not_turn_the_order_back(self, journal: Journal, late: S) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        half = fill(wanted, quantity=Decimal("0.005"))
        partly = journal.record_order(order(wanted, S.PARTLY_FILLED), [half])
        assert journal.record_order(order(wanted, late, "late"), [half]) == partly

    @pytest.mark.parametrize("said", [S.SENT, S.ACKNOWLEDGED, S.UNKNOWN])
    def test_no_report_sends_or_loses_an_order_that_was_never_sent(self, journal: Journal, said: S) -> None:
        wanted = decided(opened(journal))
        assert journal.record_order(order(wanted, said, attempt=0), []).status is S.INTENDED

    def test_every_change_is_kept_with_its_cause_and_hearing_it_again_is_none(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        for _ in range(3):
            heard = order(wanted, S.ACKNOWLEDGED, "at the venue", venue_order_id="O-1")
            journal.record_order(heard, [], "answer of the venue")
        journal.record_order(order(wanted, S.FILLED, "done", updated_at=LATER), [fill(wanted)], "report")
        changes = journal.order_changes(wanted.intent_id)
        assert [change.status for change in changes] == [S.INTENDED, S.SENT, S.ACKNOWLEDGED, S.FILLED]
        assert [change.attempt for change in changes] == [0, 1, 1, 1]
        assert [change.cause for change in changes[2:]] == ["answer of the venue", "report"]
        assert changes[-1].at == LATER
        assert journal.order_changes("unknown") == []

    def test_the_venues_id_is_kept_when_a_later_report_has_none(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        journal.record_order(order(wanted, S.ACKNOWLEDGED, venue_order_id="O-1"), [])
        assert journal.record_order(order(wanted, S.CANCELLED), []).venue_order_id == "O-1"

    def test_a_report_moves_no_deadline_and_no_trigger(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        marked = sent(journal, wanted)
        heard = order(
            wanted, S.ACKNOWLEDGED, sent_at=LATER, trigger=Decimal(1), cancel_reason="x", filled=Decimal(9)
        )
        known = journal.record_order(heard, [])
        assert known == replace(marked, status=S.ACKNOWLEDGED, updated_at=heard.updated_at)

    def test_an_order_without_an_intent_is_refused(self, journal: Journal) -> None:
        opened(journal)
        with pytest.raises(NotStored, match="no intent"):
            journal.record_order(order(intent(), S.ACKNOWLEDGED), [])
        with pytest.raises(NotStored, match="no intent"):
            journal.request_cancel("unknown", "why", NOON)
        with pytest.raises(NotStored, match="no intent"):
            sent(journal, intent())

    # --- halts and cancellation

    def test_during_a_halt_an_entry_is_cancelled_instead_of_sent(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        journal.begin_halts("paper", [Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")])
        marked = sent(journal, wanted)
        assert (marked.status, marked.attempt) == (S.CANCELLED, 0)
        assert "drawdown" in marked.reason

    def test_during_a_halt_nothing_is_converted(self, journal: Journal) -> None:
        wanted = decided(opened(journal), converts=True)
        journal.begin_halts("paper", [Halt(HaltKind.KILL_SWITCH, NOON, None, "a person")])
        assert sent(journal, wanted).status is S.CANCELLED

    def test_a_conversion_cannot_reduce(self, journal: Journal) -> None:
        with pytest.raises(InvalidValue, match="conversion"):
            decided(opened(journal), converts=True, reduces=True)

    @pytest.mark.parametrize("state", [S.SENT, S.UNKNOWN])
    def test_an_order_is_not_added_as_sent(self, journal: Journal, state: S) -> None:
        bought(opened(journal))
        with pytest.raises(InvalidValue, match="cannot begin"):
            journal.add_order(stop(), order(stop(), state), "protect")

    def test_after_a_halt_an_entry_is_sent(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        journal.begin_halts("paper", [Halt(HaltKind.DAILY_LOSS, NOON - HOUR, NOON, "")])
        assert sent(journal, wanted).status is S.SENT

    def test_a_halt_that_began_after_the_sender_read_its_clock_stops_the_entry(
        self, journal: Journal
    ) -> None:
        wanted = decided(opened(journal))
        journal.begin_halts("paper", [Halt(HaltKind.RECONCILIATION, LATER, None, "a foreign order")])
        assert sent(journal, wanted).status is S.CANCELLED

    def test_during_a_halt_exits_and_stops_are_sent(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.begin_halts("paper", [Halt(HaltKind.KILL_SWITCH, NOON, None, "a person")])
        half = {"quantity": Decimal("0.005")}
        journal.add_order(stop(**half), begun(stop(**half)), "protect")
        assert sent(journal, stop(**half)).status is S.SENT
        assert sent(journal, exiting(journal, **half)).status is S.SENT

    def test_cancelling_what_never_left_ends_it_at_once(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        gone = journal.request_cancel(wanted.intent_id, "the market turned", LATER)
        assert (gone.status, gone.reason) == (S.CANCELLED, "the market turned")
        assert sent(journal, wanted) == gone

    def test_cancelling_what_was_sent_is_noted_until_the_venue_says_so(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        leaving = journal.request_cancel(wanted.intent_id, "the market turned", LATER)
        assert (leaving.status, leaving.cancel_reason) == (S.SENT, "the market turned")
        again = journal.request_cancel(wanted.intent_id, "another reason", LATER)
        assert again.cancel_reason == "the market turned"
        gone = journal.record_order(order(wanted, S.CANCELLED), [])
        assert journal.request_cancel(wanted.intent_id, "again", LATER) == gone

    def test_an_attempt_that_was_never_taken_and_should_go_is_gone(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        journal.request_cancel(wanted.intent_id, "the market turned", LATER)
        assert journal.record_order(order(wanted, S.INTENDED), [], "never taken").status is S.CANCELLED

    # --- never more is closed than is held

    def test_there_is_never_a_second_live_exit_of_a_pair(self, journal: Journal) -> None:
        bought(opened(journal))
        first = exiting(journal)
        with pytest.raises(InvalidValue, match="never a second"):
            exiting(journal, "close-2")
        with pytest.raises(NotStored):
            journal.decision("close-2")
        with pytest.raises(InvalidValue, match="never a second"):
            journal.add_order(closing("", intent_id="x"), begun(closing("", intent_id="x")), "a kill")
        journal.record_order(order(first, S.REJECTED, attempt=0), [])
        assert exiting(journal, "close-3").decision_id == "close-3"

    def test_a_decision_can_cancel_an_unsent_exit_and_ask_for_another(self, journal: Journal) -> None:
        bought(opened(journal))
        first = exiting(journal)
        second = closing("close-2")
        assert journal.record_decision(receipt("close-2", action="CLOSE"), second, [first.intent_id])
        assert stored(journal, second.intent_id).status is S.INTENDED

    def test_exits_of_other_accounts_and_pairs_are_no_second_ones(self, journal: Journal) -> None:
        exiting(opened(journal))
        other = closing("close-2", account="other")
        assert journal.record_decision(receipt("close-2", account="other"), other)

    @pytest.mark.parametrize(
        ("side", "quantity"), [(Side.SELL, "0.011"), (Side.BUY, "0.01")], ids=["too large", "wrong side"]
    )
    def test_an_exit_that_the_position_does_not_cover_is_not_sent(
        self, journal: Journal, side: Side, quantity: str
    ) -> None:
        bought(opened(journal))
        wanted = exiting(journal, side=side, quantity=Decimal(quantity))
        with pytest.raises(InvalidValue, match="to close a position"):
            sent(journal, wanted)
        assert stored(journal, wanted.intent_id).status is S.INTENDED

    def test_an_exit_without_a_position_is_not_sent(self, journal: Journal) -> None:
        with pytest.raises(InvalidValue, match="to close a position"):
            sent(journal, exiting(opened(journal)))

    @pytest.mark.parametrize("state", [S.SENT, S.UNKNOWN, S.ACKNOWLEDGED])
    def test_a_stop_and_an_exit_are_never_at_the_venue_over_more_than_is_held(
        self, journal: Journal, state: S
    ) -> None:
        bought(opened(journal))
        journal.add_order(stop(), begun(stop()), "protect")
        sent(journal, stop())
        if state is not S.SENT:
            journal.record_order(order(stop(), state), [])
        leaving = exiting(journal)
        with pytest.raises(InvalidValue, match="may be on its way"):
            sent(journal, leaving)
        journal.record_order(order(stop(), S.CANCELLED), [])
        assert sent(journal, leaving).status is S.SENT

    def test_what_a_stop_has_filled_already_is_left_out(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.add_order(stop(), begun(stop()), "protect")
        sent(journal, stop())
        half = {"quantity": Decimal("0.005")}
        journal.record_order(order(stop(), S.CANCELLED), [fill(stop(), **half)])
        with pytest.raises(InvalidValue, match="to close a position"):
            sent(journal, exiting(journal))
        journal.request_cancel("intent-of-close-1", "too large", LATER)
        assert sent(journal, exiting(journal, "close-2", **half)).status is S.SENT

    def test_of_two_threads_one_sends_the_position(self, journal: Journal) -> None:
        bought(opened(journal))
        stops, lease = [stop(number) for number in range(4)], leased(journal)
        for each in stops:
            journal.add_order(each, begun(each), "protect")

        def is_sent(number: int) -> bool:
            try:
                return sent(journal, stops[number], lease).status is S.SENT
            except InvalidValue:
                return False

        assert sum(at_once(is_sent, range(4))) == 1

    # --- stops

    def test_an_order_of_no_decision_is_added_once(self, journal: Journal) -> None:
        bought(opened(journal))
        at_venue = replace(
            order(stop(), S.ACKNOWLEDGED), venue_order_id="O-2", trigger=Decimal(9800), working_since=LATER
        )
        assert journal.add_order(stop(), at_venue, "placed with the entry")
        assert not journal.add_order(stop(), begun(stop()), "again")
        assert journal.order("stop-1") == at_venue
        assert [change.cause for change in journal.order_changes("stop-1")] == ["placed with the entry"]
        assert journal.intent("decision-1") != stop()
        working = journal.working_order("stop-1")
        assert working is not None
        assert working.intent == stop()

    def test_an_order_is_found_by_the_id_that_the_venue_gave_it(self, journal: Journal) -> None:
        entry = bought(opened(journal))
        assert journal.find_order("paper", "") is None
        at_venue = replace(order(stop(), S.ACKNOWLEDGED), venue_order_id="O-2", trigger=Decimal(9800))
        journal.add_order(stop(), at_venue, "placed with the entry")
        found = journal.find_order("paper", "O-2")
        assert found is not None
        assert (found.intent, found.order.status) == (stop(), S.ACKNOWLEDGED)
        journal.record_order(replace(at_venue, status=S.CANCELLED), [])
        assert journal.find_order("paper", "O-2") is not None
        assert journal.find_order("someone", "O-2") is None
        assert journal.find_order("paper", entry.intent_id) is None

    def test_an_exit_needs_no_decision_but_a_named_one_must_exist(self, journal: Journal) -> None:
        bought(opened(journal))
        killed = closing("", intent_id="kill-1")
        assert journal.add_order(killed, begun(killed), "a kill")
        assert journal.working_orders("paper")[0].intent == killed
        with pytest.raises(InvalidValue):
            journal.add_order(stop(decision_id="nobody's"), begun(stop()), "protect")

    def test_what_an_added_order_has_filled_is_counted_from_fills(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.add_order(stop(), replace(order(stop(), S.ACKNOWLEDGED), filled=Decimal(1)), "adopted")
        assert stored(journal, "stop-1").filled == 0

    def test_a_stop_that_rests_gets_a_new_trigger(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.add_order(stop(), begun(stop()), "protect")
        lease = leased(journal)
        assert sent(journal, stop(), lease).working_since == NOON + SECOND
        assert journal.record_amend("stop-1", lease, Decimal(9900), LATER).trigger == 9800
        journal.record_order(order(stop(), S.ACKNOWLEDGED), [])
        moved = journal.record_amend("stop-1", lease, Decimal(9900), LATER)
        assert (moved.trigger, moved.working_since) == (Decimal(9900), LATER)
        assert "9900" in journal.order_changes("stop-1")[-1].cause
        working = journal.working_order("stop-1")
        assert working is not None
        assert working.intent.trigger == 9800

    def test_a_trigger_is_moved_by_the_newest_lease_alone(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.add_order(stop(), order(stop(), S.ACKNOWLEDGED, trigger=Decimal(9800)), "adopted")
        old, _ = leased(journal), leased(journal)
        with pytest.raises(LeaseLost):
            journal.record_amend("stop-1", old, Decimal(9900), LATER)
        assert stored(journal, "stop-1").trigger == 9800

    def test_only_stops_have_triggers_to_move(self, journal: Journal) -> None:
        wanted = bought(opened(journal))
        with pytest.raises(InvalidValue, match="no stop"):
            journal.record_amend(wanted.intent_id, leased(journal), Decimal(9900), LATER)

    @pytest.mark.parametrize("trigger", ["0", "-1", "NaN"])
    def test_an_impossible_trigger_is_refused(self, journal: Journal, trigger: str) -> None:
        bought(opened(journal))
        wrong = stop(trigger=Decimal(trigger))
        with pytest.raises(InvalidValue, match="trigger"):
            journal.add_order(wrong, begun(wrong), "protect")
        journal.add_order(stop(), order(stop(), S.ACKNOWLEDGED), "adopted")
        with pytest.raises(InvalidValue, match="trigger"):
            journal.record_amend("stop-1", leased(journal), Decimal(trigger), LATER)
