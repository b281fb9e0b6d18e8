import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.contracts.trade import (
    BTC,
    HOUR,
    NOON,
    OPENING,
    decided,
    fill,
    intent,
    opened,
    order,
    portfolio,
    receipt,
)
from tests.doubles.stores import MemoryJournal
from tests.doubles.threads import at_once
from trading.errors import InvalidValue, NotStored
from trading.orders import OrderStatus, Side
from trading.ports import Journal
from trading.risk import Halt, HaltKind, Resume
from trading.stores.postgres import PostgresJournal

PAUSE = Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")
RESUME = Resume(NOON + 5 * HOUR, "ada", "checked by hand")


class JournalContract:
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

    def test_an_intent_comes_back_as_it_went_in(self, journal: Journal) -> None:
        assert journal.intent("decision-1") is None
        wanted = decided(journal, quantity=Decimal("0.00000001"), stop_loss=None, side=Side.SELL)
        assert journal.intent("decision-1") == wanted

    def test_unsettled_intents_are_listed_oldest_first(self, journal: Journal) -> None:
        opened(journal)
        wanted = [decided(journal, f"decision-{n}", created_at=NOON + n * HOUR) for n in (3, 1, 2, 4)]
        journal.record_order(order(wanted[0], OrderStatus.REJECTED, "too small"), [])
        journal.record_order(order(wanted[1], OrderStatus.ACCEPTED, "waits"), [])
        waiting = [each.decision_id for each in journal.unsettled("paper")]
        assert waiting == ["decision-1", "decision-2", "decision-4"]

    def test_a_fill_moves_balances_and_opens_a_position(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        journal.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
        assert journal.balances("paper") == {"BTC": Decimal("0.06"), "USDT": Decimal("899.74")}
        position = journal.position("paper", BTC)
        assert position is not None
        assert (position.quantity, position.entry_price) == (Decimal("0.01"), Decimal(10000))
        assert journal.positions("paper") == [position]
        assert journal.fills("paper") == [fill(wanted)]
        assert journal.order(wanted.intent_id) == order(wanted, OrderStatus.FILLED)

    def test_a_fill_counts_from_the_moment_it_happened(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        journal.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
        assert journal.balances("paper", NOON) == OPENING
        assert journal.balances("paper", NOON + HOUR)["BTC"] == Decimal("0.06")

    def test_repeating_a_fill_changes_nothing(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        for reason in ("", "heard again"):
            journal.record_order(order(wanted, OrderStatus.FILLED, reason), [fill(wanted), fill(wanted)])
        assert journal.balances("paper")["BTC"] == Decimal("0.06")
        assert journal.fills("paper") == [fill(wanted)]
        assert journal.order(wanted.intent_id) == order(wanted, OrderStatus.FILLED)

    def test_parts_of_an_order_add_up(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        parts = [fill(wanted, n, quantity=Decimal("0.005"), price=Decimal(10000 + n * 10)) for n in (1, 2)]
        journal.record_order(order(wanted, OrderStatus.ACCEPTED), parts[:1])
        journal.record_order(order(wanted, OrderStatus.FILLED), parts)
        position = journal.position("paper", BTC)
        assert position is not None
        assert (position.quantity, position.entry_price) == (Decimal("0.010"), Decimal(10015))

    def test_selling_what_was_bought_ends_the_position(self, journal: Journal) -> None:
        bought = decided(opened(journal))
        sold = decided(journal, "decision-2", side=Side.SELL, reduces=True, stop_loss=None, take_profit=None)
        for each in (bought, sold):
            journal.record_order(order(each, OrderStatus.FILLED), [fill(each)])
        assert journal.position("paper", BTC) is None
        assert journal.balances("paper") == {"BTC": Decimal("0.05"), "USDT": Decimal("999.48")}

    def test_a_balance_never_falls_below_zero(self, journal: Journal) -> None:
        wanted = decided(opened(journal), quantity=Decimal(1))
        with pytest.raises(InvalidValue, match="USDT"):
            journal.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
        assert journal.balances("paper") == OPENING
        assert journal.order(wanted.intent_id) is None
        assert journal.fills("paper") == []
        assert journal.position("paper", BTC) is None

    @pytest.mark.parametrize("final", [OrderStatus.FILLED, OrderStatus.REJECTED])
    @pytest.mark.parametrize("later", [OrderStatus.ACCEPTED, OrderStatus.UNKNOWN])
    def test_a_final_order_stays_what_it_is(
        self, journal: Journal, final: OrderStatus, later: OrderStatus
    ) -> None:
        wanted = decided(opened(journal))
        journal.record_order(order(wanted, final), [fill(wanted)] if final is OrderStatus.FILLED else [])
        with pytest.raises(InvalidValue, match="for good"):
            journal.record_order(order(wanted, later), [])
        assert journal.order(wanted.intent_id) == order(wanted, final)

    def test_a_rejected_order_is_never_filled_afterwards(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        journal.record_order(order(wanted, OrderStatus.REJECTED, "too small"), [])
        with pytest.raises(InvalidValue):
            journal.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
        assert journal.balances("paper") == OPENING

    def test_fills_beyond_what_was_ordered_are_refused(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        with pytest.raises(InvalidValue, match="add up"):
            journal.record_order(order(wanted, OrderStatus.ACCEPTED), [fill(wanted, 1), fill(wanted, 2)])
        assert journal.fills("paper") == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [("side", Side.SELL), ("intent_id", "another"), ("price", Decimal("NaN")), ("quantity", Decimal(0)),
         ("fee", Decimal(-1))],
    )  # fmt: skip
    def test_an_impossible_fill_is_refused(self, journal: Journal, name: str, value: Any) -> None:
        wanted = decided(opened(journal))
        with pytest.raises(InvalidValue):
            journal.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted, **{name: value})])
        assert journal.balances("paper") == OPENING

    def test_a_fill_id_of_another_order_is_refused(self, journal: Journal) -> None:
        first, second = decided(opened(journal)), decided(journal, "decision-2")
        journal.record_order(order(first, OrderStatus.FILLED), [fill(first)])
        with pytest.raises(InvalidValue, match="belongs to another order"):
            journal.record_order(
                order(second, OrderStatus.FILLED), [fill(second, fill_id=fill(first).fill_id)]
            )
        assert journal.order(second.intent_id) is None

    def test_an_order_without_an_intent_is_refused(self, journal: Journal) -> None:
        with pytest.raises(NotStored, match="no intent"):
            opened(journal).record_order(order(intent(), OrderStatus.ACCEPTED), [])

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

    def test_an_account_knows_when_it_opened(self, journal: Journal) -> None:
        opened(journal)
        first = journal.opened_at("paper")
        journal.open_account("paper", {}, first + HOUR)
        assert journal.opened_at("paper") == first
        with pytest.raises(NotStored, match="no account someone"):
            journal.opened_at("someone")

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
        assert journal.resume("paper", RESUME, Decimal(850)) == replace(PAUSE, resume=RESUME)
        assert journal.halts("paper") == [replace(PAUSE, resume=RESUME)]
        assert journal.peak("paper") == 850
        assert journal.raise_peak("paper", Decimal(800)) == 850
        assert journal.halts("another") == [PAUSE]
        assert journal.peak("another") == 1000

    def test_a_resumed_account_can_be_paused_and_resumed_again(self, journal: Journal) -> None:
        first, second = (Halt(HaltKind.DRAWDOWN, NOON + n * HOUR, None, "10 % lost") for n in (0, 1))
        journal.begin_halts("paper", [first])
        journal.resume("paper", RESUME, Decimal(850))
        journal.begin_halts("paper", [first, second])
        assert journal.halts("paper") == [replace(first, resume=RESUME), second]
        journal.resume("paper", RESUME, Decimal(850))
        assert journal.halts("paper")[1].resume == RESUME

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

    def test_a_resume_at_an_equity_that_is_no_number_is_refused(self, journal: Journal) -> None:
        journal.begin_halts("paper", [PAUSE])
        with pytest.raises(InvalidValue, match="no number"):
            journal.resume("paper", RESUME, Decimal("NaN"))
        assert journal.halts("paper")[0].resume is None
        assert journal.peak("paper") is None

    def test_two_threads_apply_one_fill_once(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        filled = order(wanted, OrderStatus.FILLED)
        at_once(lambda fills: journal.record_order(filled, fills), [[fill(wanted)]] * 2)
        assert journal.balances("paper")["BTC"] == Decimal("0.06")


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()


class TestPostgresJournal(JournalContract):
    @pytest.fixture
    def journal(self, dsn: str) -> Journal:
        return PostgresJournal(dsn)
