"""Reads ledger and venue, books what explains itself, and halts the account for what does not."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading.errors import InvalidValue
from trading.orders import OrderKind, OrderStatus, WorkingOrder
from trading.ports import Adjustment, Journal, Venue, VenueBooks
from trading.reconciliation.comparison import (
    ROUNDING,
    Comparison,
    Difference,
    DifferenceKind,
    LedgerView,
    adopt,
    compare,
)
from trading.risk import Halt, HaltKind

Value = Callable[[str, Decimal, datetime], Decimal | None]  # asset, amount, then: in the account's quote

OVERLAP = timedelta(hours=1)  # of the entries that are read again: some are listed late
ROUNDS = 3  # of booking and reading again
# A difference must still be there after this: a fill shows in the balance a little later.
CONFIRM_SECONDS = 2.0
LIVE = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})
IN_MOTION = frozenset({OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.PARTLY_FILLED})


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The result of one comparison."""

    at: datetime
    booked: tuple[Adjustment, ...]
    differences: tuple[Difference, ...]  # that nobody can explain: the account is halted
    undecided: str = ""  # why balances could not be judged this time; empty when they were

    @property
    def agrees(self) -> bool:
        return not self.differences and not self.undecided


def no_value(asset: str, amount: Decimal, at: datetime) -> Decimal | None:
    """Say that no price is known."""
    return None


class Reconciler:
    """Compares one account. It places and cancels nothing."""

    def __init__(
        self,
        journal: Journal,
        venue: Venue,
        value: Value = no_value,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`value` tells what an amount that is booked was worth then: it is neither a gain nor a loss."""
        self._journal = journal
        self._venue = venue
        self._value = value
        self._sleep = sleep

    def reconcile(self, account: str, at: datetime) -> Reconciliation:
        """Book what explains itself. A difference that is still there at a second look begins a halt at `at`.

        Raises what the venue raises when its books cannot be read: nothing is concluded from that.
        """
        booked, comparison, undecided = self._settled_comparison(account)
        first = {(each.kind, each.subject) for each in comparison.differences}
        lasting: tuple[Difference, ...] = ()
        if first and not undecided:
            self._sleep(CONFIRM_SECONDS)
            more, comparison, undecided = self._settled_comparison(account)
            booked += more
            if not undecided:
                lasting = tuple(each for each in comparison.differences if (each.kind, each.subject) in first)
        if lasting:
            self._journal.begin_halts(account, [halt(lasting, at)])
        elif comparison.differences and not undecided:
            undecided = "differences come and go while orders are filled: look again in a moment"
        elif not undecided:
            self._journal.note_reconciled(account, at)
        return Reconciliation(at, tuple(booked), lasting, undecided)

    def adopt(self, account: str, at: datetime, cause: str) -> list[Adjustment]:
        """Take the venue's balances over, because a person says so; returns what was booked.

        InvalidValue while orders are in motion: their fills would be booked twice.
        """
        booked, _, undecided = self._settled_comparison(account)
        if undecided:
            raise InvalidValue(f"the venue's balances cannot be taken over now: {undecided}")
        ledger, books = self._read(account)
        for each in self._missing(ledger, books):
            gone = replace(each.order, status=OrderStatus.CANCELLED, reason=cause, updated_at=at)
            self._journal.record_order(gone, [], f"the venue does not show it; {cause}")
        return [*booked, *self._book(adopt(ledger, books, cause, at))]

    def _settled_comparison(self, account: str) -> tuple[list[Adjustment], Comparison, str]:
        """Compare until nothing is left to book, or the rounds are used up."""
        booked: list[Adjustment] = []
        for _ in range(ROUNDS):
            ledger, books = self._read(account)
            comparison = compare(ledger, books)
            new = self._book(comparison.adjustments)
            booked += new
            if comparison.unbooked_orders:
                self._book_orders(account, comparison.unbooked_orders)
            elif not new and not self._has_moved(account, ledger):
                missing = tuple(map(_missing_order, self._missing(ledger, books)))
                comparison = replace(comparison, differences=comparison.differences + missing)
                return booked, comparison, _in_motion(ledger.working)
        return booked, comparison, "orders are being filled while the books are read: look again in a moment"

    def _book(self, adjustments: Sequence[Adjustment]) -> list[Adjustment]:
        """Book each with its value then. What the venue rounded belongs to the trade, and stays a gain or a loss."""
        valued = (
            each
            if each.cause.startswith(ROUNDING)
            else replace(each, value=self._value(each.asset, each.amount, each.at))
            for each in adjustments
        )
        return [each for each in valued if self._journal.record_adjustment(each)]

    def _read(self, account: str) -> tuple[LedgerView, VenueBooks]:
        """Read the venue's books, then the ledger: a fill between the two is in the ledger at least."""
        opened_at = self._journal.opened_at(account)
        since = (self._journal.reconciled_at(account) or opened_at) - OVERLAP
        books = self._venue.books(since)
        named = {each.venue_order_id for each in books.entries} | {
            name for each in books.open_orders for name in (each.venue_order_id, each.parent_id)
        }
        return (
            LedgerView(
                account=account,
                opened_at=opened_at,
                balances=self._journal.balances(account),
                fills={each.fill_id: each for each in self._journal.fills(account)},
                references=frozenset(each.reference for each in self._journal.adjustments(account)),
                working=tuple(self._journal.working_orders(account)),
                order_ids=frozenset(
                    name for name in named if name and self._journal.find_order(account, name)
                ),
            ),
            books,
        )

    def _missing(self, ledger: LedgerView, books: VenueBooks) -> list[WorkingOrder]:
        """Return the orders that are live in the ledger and that the venue does not know, open or ended."""
        shown = {name for each in books.open_orders for name in (each.venue_order_id, each.client_order_id)}
        absent = [
            each
            for each in ledger.working
            if each.order.status in LIVE
            and not {each.order.venue_order_id, each.intent.client_order_id} & shown
        ]
        known = self._venue.reports(absent) if absent else {}
        return [each for each in absent if each.intent.intent_id not in known]

    def _has_moved(self, account: str, ledger: LedgerView) -> bool:
        """Tell whether fills were booked since the ledger was read."""
        return len(self._journal.fills(account)) != len(ledger.fills)

    def _book_orders(self, account: str, order_ids: tuple[str, ...]) -> None:
        """Ask the venue about orders of ours with fills that are not booked, and book them."""
        found = [self._journal.find_order(account, each) for each in order_ids]
        working = [each for each in found if each is not None]
        for intent_id, report in self._venue.reports(working).items():
            known = next(each for each in working if each.intent.intent_id == intent_id)
            order = replace(
                known.order,
                status=report.status,
                reason=report.reason,
                updated_at=report.at,
                venue_order_id=report.venue_order_id,
            )
            self._journal.record_order(order, report.fills, "found by the reconciliation")


def halt(differences: Sequence[Difference], at: datetime) -> Halt:
    """Return the halt that lasts until a person has chosen what to do about the differences."""
    words = "; ".join(f"{each.kind} {each.subject}: {each.note}" for each in differences[:5])
    more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
    return Halt(
        HaltKind.RECONCILIATION,
        at,
        None,
        f"the venue's books differ from the ledger: {words}{more}; `marketloom reconcile` shows them and what to do",
    )


def _missing_order(working: WorkingOrder) -> Difference:
    intent = working.intent
    note = (
        f"{intent.kind.value} {intent.side.value} {intent.quantity:f} {intent.pair}, which the ledger has as "
        f"{working.order.status.value}; the venue shows it neither open nor ended"
    )
    return Difference(DifferenceKind.MISSING_ORDER, working.order.venue_order_id, note)


def _in_motion(working: Sequence[WorkingOrder]) -> str:
    """Name the orders whose outcome is open; a resting stop or a queued intent moves no balance."""
    moving = [each for each in working if _moves(each)]
    if not moving:
        return ""
    names = ", ".join(f"{each.intent.side} {each.intent.pair} {each.order.status}" for each in moving)
    return f"orders without an outcome: {names}"


def _moves(working: WorkingOrder) -> bool:
    """Tell whether its balances may move at any moment; a market order that the venue has may be filled already."""
    is_taken = working.order.status is OrderStatus.ACKNOWLEDGED and working.intent.kind is not OrderKind.STOP
    return is_taken or working.order.status in IN_MOTION
