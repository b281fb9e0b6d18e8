import datetime as dt
import hashlib
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.contracts.journal_booking import BookingContract
from tests.contracts.journal_leases import LeaseContract
from tests.contracts.journal_orders import OrdersContract
from tests.contracts.trade import (
    HOUR,
    NOON,
    OPENING,
    bought,
    decided,
    fill,
    intent,
    opened,
    portfolio,
    receipt,
    sent,
    stop,
)
from tests.doubles.stores import MemoryJournal
from trading.errors import InvalidValue, NotStored
from trading.orders import Order, OrderStatus, Side
from trading.ports import FailureKind, Journal
from trading.risk import Halt, HaltKind, Resume
from trading.stores.order_rules import begun
from trading.stores.postgres import PostgresJournal

MICROSECOND = dt.timedelta(microseconds=1)
PAUSE = Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")
RESUME = Resume(NOON + 5 * HOUR, "ada", "checked by hand")


class JournalContract(OrdersContract, BookingContract, LeaseContract):
    """Every journal keeps these promises; each back end's test class only makes one."""

    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError

    def test_an_unknown_account_is_an_error_not_an_empty_one(self, journal: Journal) -> None:
        with pytest.raises(NotStored, match="no account paper"):
            journal.balances("paper")

    def test_opening_an_account_twice_books_the_balances_once(self, journal: Journal) -> None:
        opened(journal)
        journal.open_account("paper", {"USDT": Decimal(5)}, NOON)
        assert journal.balances("paper") == OPENING

    @pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
    def test_an_impossible_opening_balance_is_refused(self, journal: Journal, amount: str) -> None:
        with pytest.raises(InvalidValue, match="opening balance"):
            journal.open_account("paper", {"USDT": Decimal(amount)}, NOON)
        with pytest.raises(NotStored):
            journal.balances("paper")

    def test_what_decisions_read_comes_back_by_its_digest_and_nothing_else_does(
        self, journal: Journal
    ) -> None:
        contents = {hashlib.sha256(each).hexdigest(): each for each in (b"", b"\x00\xff\n", b"candles")}
        journal.store_inputs(contents)
        journal.store_inputs(contents)
        unknown = hashlib.sha256(b"never stored").hexdigest()
        assert journal.inputs([*contents, unknown]) == contents

    def test_a_content_under_another_digest_is_refused(self, journal: Journal) -> None:
        digest = hashlib.sha256(b"candles").hexdigest()
        with pytest.raises(InvalidValue):
            journal.store_inputs({digest: b"other candles"})
        assert journal.inputs([digest]) == {}

    def test_the_decisions_since_a_time_are_listed_from_the_oldest_on(self, journal: Journal) -> None:
        opened(journal)
        for hour in (2, 0, 1):
            journal.record_decision(
                receipt(f"decision-{hour}") | {"decided_at": (NOON + hour * HOUR).isoformat()}, None
            )
        assert journal.decisions_since("paper", NOON + HOUR) == ["decision-1", "decision-2"]
        assert journal.decisions_since("another", NOON) == []

    def test_failures_in_a_row_are_counted_by_kind_until_they_end(self, journal: Journal) -> None:
        error, answer = FailureKind.ERROR, FailureKind.ANSWER
        assert [journal.count_failure("paper", error, "lost", NOON) for _ in range(3)] == [1, 2, 3]
        assert journal.count_failure("paper", answer, "slow", NOON) == 1
        assert journal.count_failure("another", error, "lost", NOON) == 1
        journal.end_failures("paper", [error])
        assert journal.count_failure("paper", error, "lost", NOON) == 1
        assert journal.count_failure("paper", answer, "slow", NOON) == 2

    def test_rejects_count_since_an_order_was_taken_or_they_halted_trading(self, journal: Journal) -> None:
        opened(journal)
        counted = []
        states = [OrderStatus.REJECTED, OrderStatus.ACKNOWLEDGED, OrderStatus.REJECTED, OrderStatus.REJECTED]
        for hour, status in enumerate(states):
            wanted = decided(journal, f"decision-{hour}", intent_id=f"intent-{hour}")
            sent(journal, wanted)
            at = NOON + (hour + 1) * HOUR
            journal.record_order(Order(wanted.intent_id, status, "", at, attempt=1), [])
            counted.append(journal.books("paper", at, at).rejects)
        assert counted == [1, 0, 1, 2]
        later = NOON + 10 * HOUR
        journal.begin_halts("paper", [Halt(HaltKind.FAILURES, later, None, "rejected")])
        assert journal.books("paper", later, later).rejects == 0

    def test_the_books_are_what_is_read_one_by_one(self, journal: Journal) -> None:
        bought(opened(journal))
        at = NOON + 30 * HOUR
        books = journal.books("paper", at, NOON - HOUR)
        assert books.balances == books.balances_then == journal.balances("paper")
        assert books.balances_before_day == journal.balances("paper", at - 6 * HOUR - MICROSECOND)
        assert list(books.positions) == journal.positions("paper")
        assert books.position(books.positions[0].pair) == books.positions[0]
        assert list(books.working) == journal.working_orders("paper")
        assert books.recent_orders == journal.intents_since("paper", NOON - HOUR) == 1
        assert (books.peak, books.halts, books.adjustments) == (None, (), ())
        early = journal.books("paper", NOON - 2 * HOUR, NOON)
        assert (early.balances_then, early.balances_before_day, early.recent_orders) == ({}, {}, 0)
        with pytest.raises(NotStored):
            journal.books("nobody", at, NOON)

    def test_a_receipt_comes_back_with_exactly_its_numbers(self, journal: Journal) -> None:
        numbers = {"minus_zero": -0.0, "large": 1e16, "small": 5e-324, "third": 1 / 3}
        numbers |= {"whole": 10**20, "text": "ä€"}
        journal.record_decision(receipt(inputs=numbers), None)
        kept = journal.decision("decision-1")
        assert kept == receipt(inputs=numbers)
        assert repr(kept["inputs"]) == repr(numbers)

    def test_the_same_decision_again_changes_nothing(self, journal: Journal) -> None:
        assert journal.record_decision(receipt(), None)
        assert not journal.record_decision(receipt(action="SHORT"), intent())
        assert journal.decision("decision-1")["action"] == "LONG"
        assert journal.intent("decision-1") is None

    @pytest.mark.parametrize("missing", ["decision_id", "opinions", "confidence"])
    def test_a_receipt_without_its_required_parts_is_refused(self, journal: Journal, missing: str) -> None:
        incomplete = {name: value for name, value in receipt().items() if name != missing}
        with pytest.raises(InvalidValue, match=missing):
            journal.record_decision(incomplete, None)

    def test_a_receipt_with_a_number_that_is_none_is_refused(self, journal: Journal) -> None:
        with pytest.raises(InvalidValue):
            journal.record_decision(receipt(inputs=float("nan")), None)
        assert journal.decisions("paper") == []

    def test_an_intent_of_another_account_is_refused(self, journal: Journal) -> None:
        with pytest.raises(InvalidValue, match="account of intent"):
            journal.record_decision(receipt(), intent(account="someone"))

    def test_a_decision_with_a_used_intent_id_is_not_stored(self, journal: Journal) -> None:
        decided(journal)
        with pytest.raises(InvalidValue):
            journal.record_decision(
                receipt("decision-2"), intent("decision-2", intent_id="intent-of-decision-1")
            )
        with pytest.raises(NotStored):
            journal.decision("decision-2")

    def test_eight_characters_find_a_decision(self, journal: Journal) -> None:
        journal.record_decision(receipt("a1b2c3d4e5f6"), None)
        journal.record_decision(receipt("a1b2c3d5e5f6"), None)
        assert journal.decision("a1b2c3d4")["decision_id"] == "a1b2c3d4e5f6"

    @pytest.mark.parametrize("prefix", ["a1b2c3d", "a1b2c3d4", "zzzzzzzz", "", "%1b2c3d4", "a_b2c3d4"])
    def test_a_prefix_that_is_short_shared_or_unknown_finds_nothing(
        self, journal: Journal, prefix: str
    ) -> None:
        for number in range(3):
            journal.record_decision(receipt(f"a1b2c3d4-{number}"), None)
        with pytest.raises(NotStored):
            journal.decision(prefix)

    def test_an_id_that_begins_another_id_is_found(self, journal: Journal) -> None:
        for decision_id in ("a1b2c3d4", "a1b2c3d4e5"):
            journal.record_decision(receipt(decision_id), None)
        assert journal.decision("a1b2c3d4")["decision_id"] == "a1b2c3d4"

    def test_decisions_are_listed_newest_first(self, journal: Journal) -> None:
        for number, hours in enumerate([0, 2, 1, 2]):
            late = (NOON + hours * HOUR).isoformat()
            journal.record_decision(receipt(f"decision-{number}", decided_at=late), None)
        listed = [each["decision_id"] for each in journal.decisions("paper", limit=3)]
        assert listed == ["decision-3", "decision-1", "decision-2"]
        assert journal.decisions("someone") == []

    def test_the_newest_decision_of_a_kind_is_found_among_others(self, journal: Journal) -> None:
        opened(journal)
        for number, action in enumerate(("REBALANCE", "REBALANCE", "LONG")):
            at = (NOON + number * HOUR).isoformat()
            journal.record_decision(receipt(f"decision-{number}", action=action, decided_at=at), None)
        newest = journal.newest_decision("paper", "REBALANCE")
        assert newest is not None
        assert newest["decision_id"] == "decision-1"
        assert journal.newest_decision("paper", "SHORT") is None
        assert journal.newest_decision("another", "REBALANCE") is None

    def test_fills_of_conversions_can_be_left_out_and_move_no_position(self, journal: Journal) -> None:
        opened(journal)
        for name, converts in (("one", False), ("two", True)):
            wanted = intent(name, converts=converts, stop_loss=None, take_profit=None)
            journal.record_decision(receipt(name), wanted)
            journal.record_order(Order(wanted.intent_id, OrderStatus.FILLED, "", NOON), [fill(wanted)])
        assert [each.intent_id for each in journal.fills("paper", of_positions=True)] == ["intent-of-one"]
        assert len(journal.fills("paper")) == 2
        [position] = journal.positions("paper")
        assert position.quantity == Decimal("0.01")

    def test_an_intent_comes_back_as_it_went_in(self, journal: Journal) -> None:
        assert journal.intent("decision-1") is None
        wanted = decided(journal, quantity=Decimal("0.00000001"), stop_loss=None, side=Side.SELL)
        assert journal.intent("decision-1") == wanted

    def test_the_snapshot_of_a_moment_is_replaced_and_each_day_has_its_newest(self, journal: Journal) -> None:
        for at, amount in ((NOON, "1"), (NOON - 24 * HOUR, "3"), (NOON - HOUR, "2"), (NOON, "2.50")):
            journal.save_snapshot("paper", at, portfolio(at, amount))
        yesterday, before, newest = (
            portfolio(NOON - 24 * HOUR, "3"),
            portfolio(NOON - HOUR, "2"),
            portfolio(NOON, "2.50"),
        )
        assert journal.snapshots("paper") == [yesterday, newest]
        assert journal.snapshots_since("paper", NOON - 24 * HOUR) == [yesterday, before, newest]
        assert journal.snapshots_since("paper", NOON - HOUR) == [before, newest]
        assert journal.snapshots("someone") == journal.snapshots_since("someone", NOON - HOUR) == []

    def test_a_snapshot_belongs_to_the_day_that_it_has_in_utc(self, journal: Journal) -> None:
        at = dt.datetime(2024, 1, 2, 1, tzinfo=dt.timezone(2 * HOUR))
        journal.save_snapshot("paper", at, portfolio(at, "1"))
        assert [row["day"] for row in journal.snapshots("paper")] == [dt.date(2024, 1, 1)]
        assert len(journal.snapshots_since("paper", at)) == 1

    def test_the_accounts_that_have_opened_are_listed(self, journal: Journal) -> None:
        assert journal.accounts() == []
        for name in ("b", "a"):
            journal.open_account(name, OPENING, NOON)
        assert journal.accounts() == ["a", "b"]

    def test_an_account_knows_when_it_opened(self, journal: Journal) -> None:
        opened(journal)
        first = journal.opened_at("paper")
        journal.open_account("paper", {}, first + HOUR)
        assert journal.opened_at("paper") == first
        with pytest.raises(NotStored, match="no account someone"):
            journal.opened_at("someone")

    def test_a_decision_cancels_the_orders_that_it_names(self, journal: Journal) -> None:
        unsent, resting = decided(opened(journal)), decided(journal, "decision-2")
        sent(journal, resting)
        cancels = [unsent.intent_id, resting.intent_id]
        journal.record_decision(receipt("decision-3"), None, cancels)
        gone, leaving = (journal.order(each) for each in cancels)
        assert gone is not None
        assert leaving is not None
        assert gone.status is OrderStatus.CANCELLED
        assert (leaving.status, bool(leaving.cancel_reason)) == (OrderStatus.SENT, True)
        assert "decision-3" in journal.order_changes(resting.intent_id)[-1].cause

    def test_a_decision_that_cancels_another_accounts_order_is_not_stored(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        with pytest.raises(InvalidValue, match="not one of account someone"):
            journal.record_decision(receipt("decision-2", account="someone"), None, [wanted.intent_id])
        with pytest.raises(NotStored):
            journal.record_decision(receipt("decision-2"), None, ["no such order"])
        assert journal.decisions("someone") == []
        assert len(journal.decisions("paper")) == 1

    def test_stops_are_not_counted_as_orders(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.add_order(stop(), begun(stop()), "protect")
        assert journal.intents_since("paper", NOON - HOUR) == 1

    def test_orders_are_counted_from_after_a_time_per_account(self, journal: Journal) -> None:
        for number in range(3):
            decided(journal, f"decision-{number}", created_at=NOON + number * HOUR)
        assert journal.intents_since("paper", NOON - HOUR) == 3
        assert journal.intents_since("paper", NOON) == 2
        assert journal.intents_since("someone", NOON - HOUR) == 0

    def test_the_peak_only_rises(self, journal: Journal) -> None:
        assert journal.peak("paper") is None
        raised = [journal.raise_peak("paper", Decimal(equity)) for equity in ("1000.50", "900", "1001")]
        assert raised == [Decimal("1000.50"), Decimal("1000.50"), Decimal(1001)]
        assert journal.peak("paper") == Decimal(1001)
        assert journal.peak("someone") is None

    @pytest.mark.parametrize("equity", ["NaN", "Infinity", "sNaN"])
    def test_an_equity_that_is_no_number_is_refused(self, journal: Journal, equity: str) -> None:
        with pytest.raises(InvalidValue, match="no number"):
            journal.raise_peak("paper", Decimal(equity))
        assert journal.peak("paper") is None

    def test_halts_come_back_as_they_went_in_oldest_first(self, journal: Journal) -> None:
        kept = [
            Halt(HaltKind.DAILY_LOSS, NOON, NOON + 12 * HOUR, "3 % lost"),
            Halt(HaltKind.DRAWDOWN, NOON + HOUR, None, "10 % lost"),
            Halt(HaltKind.LOSING_STREAK, NOON + 2 * HOUR, NOON + 3 * HOUR, "5 losses"),
        ]
        journal.begin_halts("paper", kept[1:])
        journal.begin_halts("paper", kept[:1])
        assert journal.halts("paper") == kept
        assert journal.halts("someone") == []

    def test_a_halt_begins_once_whatever_is_recorded_later(self, journal: Journal) -> None:
        first = Halt(HaltKind.DAILY_LOSS, NOON, NOON + 12 * HOUR, "3 % lost")
        journal.begin_halts("paper", [first])
        journal.begin_halts("paper", [replace(first, reason="4 % lost", until=NOON + HOUR)])
        assert journal.halts("paper") == [first]

    def test_an_account_is_paused_once(self, journal: Journal) -> None:
        journal.begin_halts("paper", [PAUSE, replace(PAUSE, since=NOON + HOUR)])
        assert journal.halts("paper") == [PAUSE]

    def test_resuming_ends_the_pause_and_lowers_the_peak_of_that_account_alone(
        self, journal: Journal
    ) -> None:
        for account in ("paper", "another"):
            journal.begin_halts(account, [PAUSE])
            journal.raise_peak(account, Decimal(1000))
        assert journal.resume("paper", RESUME, Decimal(850)) == [replace(PAUSE, resume=RESUME)]
        assert journal.halts("paper") == [replace(PAUSE, resume=RESUME)]
        assert journal.peak("paper") == 850
        assert journal.raise_peak("paper", Decimal(800)) == 850
        assert journal.halts("another") == [PAUSE]
        assert journal.peak("another") == 1000

    def test_a_resumed_account_can_be_paused_and_resumed_again(self, journal: Journal) -> None:
        first, second = (Halt(HaltKind.DRAWDOWN, NOON + n * HOUR, None, "10 % lost") for n in (0, 1))
        journal.begin_halts("paper", [first])
        journal.resume("paper", RESUME, Decimal(850))
        journal.begin_halts("paper", [second])
        assert journal.halts("paper") == [replace(first, resume=RESUME), second]
        journal.resume("paper", RESUME, Decimal(850))
        assert journal.halts("paper")[1].resume == RESUME

    def test_a_pause_holds_again_where_the_account_s_clock_has_stood_still_since_a_person_ended_one(
        self, journal: Journal
    ) -> None:
        for _ in range(3):
            journal.begin_halts("paper", [PAUSE])
            assert [halt.binds(PAUSE.since) for halt in journal.halts("paper")][-1]
            journal.resume("paper", RESUME, Decimal(850))
        assert len(journal.halts("paper")) == 3

    def test_an_account_that_no_person_must_resume_is_not_paused(self, journal: Journal) -> None:
        journal.begin_halts("paper", [Halt(HaltKind.DAILY_LOSS, NOON, NOON + HOUR, "3 % lost")])
        journal.raise_peak("paper", Decimal(1000))
        for account in ("paper", "someone"):
            with pytest.raises(NotStored, match=f"account {account} is not paused"):
                journal.resume(account, RESUME, Decimal(850))
        assert journal.peak("paper") == 1000

    @pytest.mark.parametrize("name", ["by", "reason"])
    def test_a_resume_needs_a_name_and_a_reason(self, journal: Journal, name: str) -> None:
        journal.begin_halts("paper", [PAUSE])
        with pytest.raises(InvalidValue, match=f"{name} is empty"):
            journal.resume("paper", replace(RESUME, **{name: " "}), Decimal(850))
        assert journal.halts("paper")[0].resume is None

    def test_a_resume_is_the_peak_of_an_account_that_had_none(self, journal: Journal) -> None:
        journal.begin_halts("paper", [PAUSE])
        journal.resume("paper", RESUME, Decimal(850))
        assert journal.peak("paper") == 850

    def test_an_account_is_paused_once_for_each_reason_and_resumed_by_reason(self, journal: Journal) -> None:
        killed = Halt(HaltKind.KILL_SWITCH, NOON + HOUR, None, "a person")
        journal.begin_halts("paper", [PAUSE, killed])
        journal.raise_peak("paper", Decimal(1000))
        kinds = [HaltKind.KILL_SWITCH, HaltKind.RECONCILIATION]
        assert journal.resume("paper", RESUME, Decimal(850), kinds) == [replace(killed, resume=RESUME)]
        assert journal.peak("paper") == 1000
        assert journal.halts("paper") == [PAUSE, replace(killed, resume=RESUME)]
        with pytest.raises(NotStored, match="not paused by kill switch"):
            journal.resume("paper", RESUME, Decimal(850), kinds)

    def test_resuming_everything_ends_every_pause(self, journal: Journal) -> None:
        pauses = [Halt(kind, NOON, None, "why") for kind in (HaltKind.DRAWDOWN, HaltKind.PROTECTION)]
        journal.begin_halts("paper", pauses)
        assert len(journal.resume("paper", RESUME, Decimal(850))) == 2
        assert not any(halt.needs_resume for halt in journal.halts("paper"))

    def test_a_resume_at_an_equity_that_is_no_number_is_refused(self, journal: Journal) -> None:
        journal.begin_halts("paper", [PAUSE])
        with pytest.raises(InvalidValue, match="no number"):
            journal.resume("paper", RESUME, Decimal("NaN"))
        assert journal.halts("paper")[0].resume is None
        assert journal.peak("paper") is None


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()


class TestPostgresJournal(JournalContract):
    @pytest.fixture
    def journal(self, dsn: str) -> Journal:
        return PostgresJournal(dsn)
