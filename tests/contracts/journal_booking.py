"""What every journal promises of fills, balances and positions: fills are facts."""

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.contracts.trade import (
    BTC,
    HOUR,
    NOON,
    OPENING,
    bought,
    closing,
    decided,
    exiting,
    fill,
    leased,
    opened,
    order,
    sent,
    stop,
)
from tests.doubles.threads import at_once
from trading.errors import InvalidValue, NotStored
from trading.invalidation import Invalidation, InvalidationKind
from trading.orders import OrderStatus, Side
from trading.portfolio import Position
from trading.ports import Adjustment, Journal
from trading.risk import HaltKind, Resume
from trading.stores.order_rules import begun

PAUSE = 0.2  # seconds

S = OrderStatus
HALF = Decimal("0.005")
DEPOSIT = Adjustment("paper", "D-1", "USDT", Decimal("12.5"), "deposit", NOON + HOUR)


def held(journal: Journal) -> Position:
    position = journal.position("paper", BTC)
    assert position is not None
    return position


def halts(journal: Journal) -> list[HaltKind]:
    return [halt.kind for halt in journal.halts("paper")]


class BookingContract:
    def test_a_fill_moves_balances_and_opens_a_position(self, journal: Journal) -> None:
        wanted = bought(opened(journal))
        assert journal.balances("paper") == {"BTC": Decimal("0.06"), "USDT": Decimal("899.74")}
        position = held(journal)
        assert (position.quantity, position.entry_price) == (Decimal("0.01"), Decimal(10000))
        assert journal.positions("paper") == [position]
        assert journal.fills("paper") == [fill(wanted)]
        known = journal.order(wanted.intent_id)
        assert known is not None
        assert (known.status, known.filled) == (S.FILLED, Decimal("0.01"))
        assert journal.halts("paper") == []

    def test_a_position_has_the_invalidations_of_its_entry_for_as_long_as_it_lasts(
        self, journal: Journal
    ) -> None:
        conditions = (
            Invalidation(InvalidationKind.LEVEL, "trader-a", level=Decimal("9900.10")),
            Invalidation(
                InvalidationKind.INDICATOR, "trader-a", indicator="rsi_14", above=True, value=0.1 + 0.2
            ),
            Invalidation(InvalidationKind.TIME, "trader-b", at=NOON + 5 * HOUR),
        )
        wanted = decided(opened(journal), invalidations=conditions)
        sent(journal, wanted)
        assert [each.intent for each in journal.working_orders("paper")] == [wanted]
        parts = [fill(wanted, n, quantity=HALF, price=Decimal(10000 + n * 10)) for n in (1, 2)]
        journal.record_order(order(wanted, S.ACKNOWLEDGED), parts[:1])
        assert held(journal).invalidations == conditions
        assert journal.update_protection(replace(held(journal), invalidations=(), exit_reason="invalidated"))
        journal.record_order(order(wanted, S.FILLED), parts)
        assert (held(journal).invalidations, held(journal).exit_reason) == (conditions, "invalidated")
        assert journal.intent("decision-1") == wanted

    def test_a_fill_counts_from_the_moment_it_happened(self, journal: Journal) -> None:
        bought(opened(journal))
        assert journal.balances("paper", NOON) == OPENING
        assert journal.balances("paper", NOON + HOUR)["BTC"] == Decimal("0.06")

    def test_repeating_a_fill_changes_nothing(self, journal: Journal) -> None:
        wanted = bought(opened(journal))
        before = journal.order(wanted.intent_id), journal.order_changes(wanted.intent_id)
        journal.record_order(order(wanted, S.FILLED, "heard again"), [fill(wanted), fill(wanted)])
        assert journal.balances("paper")["BTC"] == Decimal("0.06")
        assert journal.fills("paper") == [fill(wanted)]
        assert (journal.order(wanted.intent_id), journal.order_changes(wanted.intent_id)) == before

    def test_parts_of_an_order_add_up(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        parts = [fill(wanted, n, quantity=HALF, price=Decimal(10000 + n * 10)) for n in (1, 2)]
        first = journal.record_order(order(wanted, S.ACKNOWLEDGED), parts[:1])
        assert (first.status, first.filled) == (S.PARTLY_FILLED, HALF)
        last = journal.record_order(order(wanted, S.FILLED), parts)
        assert (last.status, last.filled) == (S.FILLED, 2 * HALF)
        assert (held(journal).quantity, held(journal).entry_price) == (Decimal("0.010"), Decimal(10015))

    def test_an_order_is_filled_when_its_fills_add_up_and_not_before(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        parts = [fill(wanted, n, quantity=HALF) for n in (1, 2)]
        assert journal.record_order(order(wanted, S.FILLED), []).status is S.ACKNOWLEDGED
        assert journal.record_order(order(wanted, S.FILLED), parts[:1]).status is S.PARTLY_FILLED
        assert journal.record_order(order(wanted, S.PARTLY_FILLED), parts[1:]).status is S.FILLED

    def test_a_fill_of_an_order_without_an_answer_is_booked(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        known = journal.record_order(order(wanted, S.UNKNOWN), [fill(wanted, quantity=HALF)])
        assert (known.status, known.filled) == (S.UNKNOWN, HALF)
        assert held(journal).quantity == HALF

    def test_a_fill_proves_that_an_order_is_at_the_venue(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        journal.record_order(order(wanted, S.INTENDED), [], "never taken")
        late = fill(wanted, quantity=HALF)
        known = journal.record_order(order(wanted, S.INTENDED), [late])
        assert (known.status, known.filled) == (S.UNKNOWN, HALF)
        assert sent(journal, wanted).attempt == 1
        assert journal.record_order(order(wanted, S.INTENDED), []).status is S.UNKNOWN

    def test_selling_what_was_bought_ends_the_position(self, journal: Journal) -> None:
        bought(opened(journal))
        sold = exiting(journal)
        sent(journal, sold)
        journal.record_order(order(sold, S.FILLED), [fill(sold)])
        assert journal.position("paper", BTC) is None
        assert journal.balances("paper") == {"BTC": Decimal("0.05"), "USDT": Decimal("999.48")}
        assert journal.halts("paper") == []

    # --- facts that nobody wanted

    def test_a_fill_that_takes_a_balance_below_zero_is_booked_and_halts(self, journal: Journal) -> None:
        wanted = decided(opened(journal), quantity=Decimal("0.1004"))
        sent(journal, wanted)
        assert journal.record_order(order(wanted, S.FILLED), [fill(wanted)]).status is S.FILLED
        assert journal.balances("paper")["USDT"] == Decimal("-4.26")
        assert held(journal).quantity == Decimal("0.1004")
        (halt,) = journal.halts("paper")
        assert (halt.kind, halt.needs_resume) == (HaltKind.RECONCILIATION, True)
        assert "-4.26 USDT" in halt.reason
        assert "-4.26 USDT" in journal.order_changes(wanted.intent_id)[-1].cause
        assert sent(journal, decided(journal, "decision-2", created_at=NOON + HOUR)).status is S.CANCELLED

    def test_a_surprise_halts_again_after_a_person_has_resumed(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        for number in (1, 2, 3):
            journal.record_order(order(wanted, S.FILLED), [fill(wanted, number)])
            if number == 2:
                journal.resume("paper", Resume(NOON + 2 * HOUR, "ada", "looked"), Decimal(1))
        assert [halt.resume is None for halt in journal.halts("paper")] == [False, True]

    def test_a_fill_that_raises_a_balance_below_zero_halts_no_more(self, journal: Journal) -> None:
        bought(opened(journal))
        journal.record_adjustment(replace(DEPOSIT, amount=Decimal(-5000)))
        sold = exiting(journal)
        sent(journal, sold)
        journal.record_order(order(sold, S.FILLED), [fill(sold)])
        assert journal.balances("paper")["USDT"] < 0
        assert journal.halts("paper") == []

    @pytest.mark.parametrize("final", [S.CANCELLED, S.EXPIRED, S.REJECTED, S.FILLED])
    def test_a_late_fill_of_a_final_order_is_booked(self, journal: Journal, final: S) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        fills = [fill(wanted)] if final is S.FILLED else []
        ended = journal.record_order(order(wanted, final), fills)
        late = fill(wanted, 9, quantity=HALF)
        known = journal.record_order(order(wanted, S.ACKNOWLEDGED), [late], "a late report")
        assert known == replace(ended, filled=ended.filled + HALF)
        assert held(journal).quantity == known.filled
        change = journal.order_changes(wanted.intent_id)[-1]
        assert (change.status, change.cause[:13]) == (final, "a late report")

    def test_fills_beyond_what_was_ordered_are_booked_and_halt(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        known = journal.record_order(order(wanted, S.FILLED), [fill(wanted, 1), fill(wanted, 2)])
        assert (known.status, known.filled) == (S.FILLED, Decimal("0.02"))
        assert held(journal).quantity == Decimal("0.02")
        assert halts(journal) == [HaltKind.RECONCILIATION]
        assert "0.02 was filled of an order over 0.01" in journal.order_changes(wanted.intent_id)[-1].cause

    def test_a_reducing_fill_never_turns_a_position(self, journal: Journal) -> None:
        bought(opened(journal))
        sold = exiting(journal)
        sent(journal, sold)
        journal.record_order(order(sold, S.FILLED), [fill(sold, quantity=Decimal("0.013"))])
        assert journal.position("paper", BTC) is None
        assert journal.balances("paper")["BTC"] == Decimal("0.047")
        assert halts(journal) == [HaltKind.RECONCILIATION]
        assert "0.003 BTC more was closed" in journal.order_changes(sold.intent_id)[-1].cause

    def test_a_reducing_fill_without_a_position_opens_none(self, journal: Journal) -> None:
        sold = exiting(opened(journal))
        journal.record_order(order(sold, S.FILLED), [fill(sold)])
        assert journal.position("paper", BTC) is None
        assert journal.balances("paper")["BTC"] == Decimal("0.04")
        assert halts(journal) == [HaltKind.RECONCILIATION]

    def test_a_reducing_fill_on_the_positions_own_side_leaves_it_as_it_is(self, journal: Journal) -> None:
        bought(opened(journal))
        before = held(journal)
        wrong = exiting(journal, side=Side.BUY)
        journal.record_order(order(wrong, S.FILLED), [fill(wrong)])
        assert held(journal) == before
        assert halts(journal) == [HaltKind.RECONCILIATION]

    def test_an_entry_against_a_position_nets_it_and_opens_the_rest(self, journal: Journal) -> None:
        bought(opened(journal))
        short = decided(
            journal, "decision-2", side=Side.SELL, quantity=Decimal("0.03"), stop_loss=Decimal(10200)
        )
        sent(journal, short)
        journal.record_order(order(short, S.FILLED), [fill(short)])
        assert (held(journal).quantity, held(journal).stop_loss) == (Decimal("-0.02"), Decimal(10200))

    def test_parts_of_one_report_are_booked_in_order(self, journal: Journal) -> None:
        bought(opened(journal))
        sold = exiting(journal)
        sent(journal, sold)
        parts = [fill(sold, number, quantity=HALF) for number in (1, 2, 3)]
        journal.record_order(order(sold, S.FILLED), parts)
        assert journal.position("paper", BTC) is None
        assert len(journal.fills("paper")) == 4
        assert halts(journal) == [HaltKind.RECONCILIATION]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("side", Side.SELL), ("intent_id", "another"), ("price", Decimal("NaN")), ("quantity", Decimal(0)),
         ("fee", Decimal(-1))],
    )  # fmt: skip
    def test_an_impossible_fill_is_refused(self, journal: Journal, name: str, value: Any) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        with pytest.raises(InvalidValue):
            journal.record_order(order(wanted, S.FILLED), [fill(wanted, **{name: value})])
        assert journal.balances("paper") == OPENING

    def test_a_fill_id_of_another_order_is_refused(self, journal: Journal) -> None:
        first, second = bought(opened(journal)), decided(journal, "decision-2")
        sent(journal, second)
        before = journal.order(second.intent_id)
        with pytest.raises(InvalidValue, match="belongs to another order"):
            journal.record_order(order(second, S.FILLED), [fill(second, fill_id=fill(first).fill_id)])
        assert journal.order(second.intent_id) == before

    def test_two_threads_apply_one_fill_once(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted)
        filled = order(wanted, S.FILLED)
        at_once(lambda fills: journal.record_order(filled, fills), [[fill(wanted)]] * 2)
        assert journal.balances("paper")["BTC"] == Decimal("0.06")

    # --- levels

    def test_levels_move_with_the_price_of_the_fill(self, journal: Journal) -> None:
        plan = {"entry_price": "10000", "trailing_after": "10300", "trailing_distance": "200"}
        wanted = decided(opened(journal), **{name: Decimal(value) for name, value in plan.items()})
        sent(journal, wanted)
        parts = [
            fill(wanted, n, quantity=HALF, price=Decimal(price)) for n, price in ((1, 10100), (2, 10300))
        ]
        for number, shift in ((1, 100), (2, 200)):
            journal.record_order(order(wanted, S.PARTLY_FILLED), parts[:number])
            position = held(journal)
            assert (position.stop_loss, position.take_profit) == (9800 + shift, 10400 + shift)
            assert (position.trailing_after, position.trailing_distance) == (10300 + shift, 200)
            assert position.opened_at == NOON + HOUR

    def test_protection_is_stored_for_the_position_that_was_read(self, journal: Journal) -> None:
        bought(opened(journal))
        seen = replace(
            held(journal),
            stop_loss=Decimal(9950),
            best_price=Decimal(10300),
            checked_until=NOON + 2 * HOUR,
            exit_reason="take-profit",
        )
        assert journal.update_protection(replace(seen, entry_price=Decimal(1)))
        assert held(journal) == seen

    def test_two_that_look_at_the_same_position_lose_nothing_of_what_either_saw(
        self, journal: Journal
    ) -> None:
        bought(opened(journal))
        read = held(journal)
        ticks = replace(
            read,
            stop_loss=Decimal(9950),
            best_price=Decimal(10300),
            stop_since=NOON + HOUR,
            exit_reason="touched",
        )
        candle = replace(
            read, stop_loss=Decimal(9900), best_price=Decimal(10200), checked_until=NOON + 2 * HOUR
        )
        assert journal.update_protection(ticks)
        assert journal.update_protection(candle)
        assert held(journal) == replace(ticks, checked_until=NOON + 2 * HOUR)

    def test_protection_of_another_position_is_not_stored(self, journal: Journal) -> None:
        bought(opened(journal))
        before = held(journal)
        for other in (
            replace(before, quantity=HALF),
            replace(before, opened_at=NOON),
            replace(before, account="someone"),
        ):
            assert not journal.update_protection(replace(other, stop_loss=Decimal(1)))
        assert held(journal) == before

    def test_a_part_that_is_closed_leaves_the_levels(self, journal: Journal) -> None:
        bought(opened(journal))
        trailed = replace(held(journal), stop_loss=Decimal(9990), best_price=Decimal(10200))
        journal.update_protection(trailed)
        half = stop(quantity=HALF)
        journal.add_order(half, begun(half), "protect")
        sent(journal, half)
        journal.record_order(order(half, S.FILLED), [fill(half)])
        assert held(journal) == replace(trailed, quantity=HALF)

    # --- adjustments

    def test_an_adjustment_changes_one_balance_once(self, journal: Journal) -> None:
        opened(journal)
        assert journal.record_adjustment(DEPOSIT)
        assert not journal.record_adjustment(replace(DEPOSIT, amount=Decimal(99)))
        assert journal.balances("paper")["USDT"] == Decimal("1012.5")
        assert journal.balances("paper", NOON) == OPENING
        earlier = replace(DEPOSIT, reference="D-0", asset="EUR", amount=Decimal("-0.01"), at=NOON)
        assert journal.record_adjustment(earlier)
        assert journal.adjustments("paper") == [earlier, DEPOSIT]
        assert journal.balances("paper")["EUR"] == Decimal("-0.01")
        assert journal.adjustments("someone") == []

    def test_money_that_is_put_in_or_taken_out_moves_the_peak(self, journal: Journal) -> None:
        opened(journal)
        journal.record_adjustment(replace(DEPOSIT, value=Decimal("12.5")))
        assert journal.peak("paper") is None
        journal.raise_peak("paper", Decimal(1000))
        journal.record_adjustment(
            replace(DEPOSIT, reference="W-1", amount=Decimal(-100), value=Decimal(-100))
        )
        assert not journal.record_adjustment(replace(DEPOSIT, reference="W-1", value=Decimal(-100)))
        journal.record_adjustment(replace(DEPOSIT, reference="D-2", asset="XYZ"))
        assert journal.peak("paper") == 900
        assert [each.value for each in journal.adjustments("paper")] == [Decimal("12.5"), Decimal(-100), None]

    def test_a_conversion_moves_balances_alone(self, journal: Journal) -> None:
        bought(opened(journal))
        before = held(journal)
        sold = {"side": Side.SELL, "converts": True, "stop_loss": None, "take_profit": None}
        wanted = decided(journal, "decision-2", **sold)
        sent(journal, wanted)
        journal.record_order(order(wanted, S.FILLED), [fill(wanted)])
        assert held(journal) == before
        assert journal.balances("paper")["BTC"] == Decimal("0.05")
        assert journal.halts("paper") == []

    @pytest.mark.parametrize(
        "changes", [{"amount": Decimal("NaN")}, {"amount": Decimal(0)}, {"reference": ""}, {"cause": " "}]
    )
    def test_an_adjustment_that_says_nothing_is_refused(
        self, journal: Journal, changes: dict[str, Any]
    ) -> None:
        opened(journal)
        with pytest.raises(InvalidValue):
            journal.record_adjustment(replace(DEPOSIT, **changes))
        assert journal.balances("paper") == OPENING

    def test_an_adjustment_needs_its_account(self, journal: Journal) -> None:
        with pytest.raises(NotStored, match="no account"):
            journal.record_adjustment(DEPOSIT)

    def test_the_newest_agreement_with_the_venue_is_noted(self, journal: Journal) -> None:
        opened(journal)
        assert journal.reconciled_at("paper") is None
        for at in (NOON, NOON + 2 * HOUR, NOON + HOUR):
            journal.note_reconciled("paper", at)
        assert journal.reconciled_at("paper") == NOON + 2 * HOUR
        with pytest.raises(NotStored, match="no account"):
            journal.reconciled_at("someone")

    def test_the_time_since_the_last_agreement_is_counted_by_the_store_s_own_clock(
        self, journal: Journal
    ) -> None:
        def age() -> float:
            found = journal.books("paper", NOON, NOON).comparison_age
            assert found is not None
            return found.total_seconds()

        opened(journal)
        time.sleep(PAUSE)
        assert age() >= PAUSE  # since it has opened
        before = time.monotonic()
        journal.note_reconciled("paper", NOON - HOUR)  # its own clock may stand, or jump
        after = age()
        assert 0 <= after <= time.monotonic() - before

    def test_a_lease_is_no_part_of_booking(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        sent(journal, wanted, leased(journal, "old"))
        leased(journal, "old")
        assert journal.record_order(order(wanted, S.FILLED), [fill(wanted)]).status is S.FILLED
        assert closing().reduces
