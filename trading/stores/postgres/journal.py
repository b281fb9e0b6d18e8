"""Decisions and orders in PostgreSQL."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.orders import Fill, Order, OrderChange, OrderIntent, OrderStatus, WorkingOrder
from trading.ports import AccountBooks, FailureKind, Lease
from trading.stores.journal_rules import (
    check_decision,
    check_fills,
    check_opinions,
    decided_at,
    other_account_error,
)
from trading.stores.order_rules import (
    amended,
    begun,
    check_order,
    check_reduction,
    followed,
    reason_not_to_send,
    sent,
    surprise_halt,
    to_cancel,
)
from trading.stores.postgres import accounts, decisions, failures, order_ledger, recorded_inputs, snapshots
from trading.stores.postgres.accounts import lock_account, require_lock
from trading.stores.postgres.booking import book, fills_of, select_position, select_positions
from trading.stores.postgres.books import PostgresBooks
from trading.stores.postgres.connection import Connection
from trading.stores.postgres.halts import insert_halts, select_halts, select_peak
from trading.stores.postgres.leases import require_newest
from trading.stores.postgres.outbox import append_many


class PostgresJournal(PostgresBooks):
    def books(self, account: str, at: datetime, orders_since: datetime) -> AccountBooks:
        with self._database.reading() as connection:
            comparison_age = accounts.select_comparison_age(connection, account)
            now, then, before_day = accounts.select_balances_over_time(connection, account, at)
            return AccountBooks(
                balances=now,
                balances_then=then,
                balances_before_day=before_day,
                positions=tuple(select_positions(connection, account)),
                working=tuple(order_ledger.select_working_orders(connection, account)),
                adjustments=tuple(accounts.select_adjustments(connection, account)),
                snapshots=tuple(snapshots.select_daily(connection, account)),
                peak=select_peak(connection, account),
                halts=tuple(select_halts(connection, account)),
                recent_orders=order_ledger.count_intents(connection, account, orders_since),
                rejects=failures.count_rejects(connection, account),
                comparison_age=comparison_age,
            )

    def count_failure(self, account: str, kind: FailureKind, what: str, at: datetime) -> int:
        with self._database.transaction() as connection:
            return failures.count_failure(connection, account, kind, what, at)

    def end_failures(self, account: str, kinds: Collection[FailureKind]) -> None:
        with self._database.transaction() as connection:
            failures.end_failures(connection, account, kinds)

    def record_decision(
        self, receipt: Mapping[str, Any], intent: OrderIntent | None, cancels: Sequence[str] = ()
    ) -> bool:
        from trading.bus_messages import decision_message  # loading the graph must not import msgspec

        check_decision(receipt, intent)
        check_opinions(receipt)
        at, cause = decided_at(receipt), f"decision {receipt['decision_id']}"
        with self._database.transaction() as connection:
            lock_account(connection, receipt["account"])
            if not decisions.insert_decision(connection, receipt, intent):
                return False
            for intent_id in cancels:
                if order_ledger.account_of(connection, intent_id) != receipt["account"]:
                    raise other_account_error(intent_id, receipt["account"])
                order_ledger.request_cancel(connection, intent_id, f"cancelled by {cause}", at)
            if intent is not None:
                order_ledger.insert_order(connection, intent, begun(intent), cause, asked=True)
            if not receipt.get("shadow"):
                # Last: publishers take turns from here.
                append_many(connection, [decision_message(receipt, at, intent)])
        return True

    def decision(self, decision_id: str) -> dict[str, Any]:
        with self._database.reading() as connection:
            return decisions.select_decision(connection, decision_id)

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            return decisions.select_decisions(connection, account, limit)

    def decisions_since(self, account: str, since: datetime, until: datetime | None = None) -> list[str]:
        with self._database.reading() as connection:
            return decisions.select_since(connection, account, since, until)

    def store_inputs(self, contents: Mapping[str, bytes]) -> None:
        recorded_inputs.store_contents(self._database, contents)

    def inputs(self, digests: Collection[str]) -> dict[str, bytes]:
        return recorded_inputs.select_contents(self._database, digests)

    def newest_decision(self, account: str, action: str) -> dict[str, Any] | None:
        with self._database.reading() as connection:
            return decisions.select_newest_decision(connection, account, action)

    def intent(self, decision_id: str) -> OrderIntent | None:
        with self._database.reading() as connection:
            return order_ledger.select_own_intent(connection, decision_id)

    def intents_since(self, account: str, since: datetime) -> int:
        with self._database.reading() as connection:
            return order_ledger.count_intents(connection, account, since)

    def add_order(self, intent: OrderIntent, order: Order, cause: str) -> bool:
        check_order(intent, order)
        with self._database.transaction() as connection:
            lock_account(connection, intent.account)
            if order_ledger.is_known(connection, intent.intent_id):
                return False
            unfilled = replace(order, filled=Decimal(0))
            order_ledger.insert_order(connection, intent, unfilled, cause, asked=False)
        return True

    def working_orders(self, account: str) -> list[WorkingOrder]:
        with self._database.reading() as connection:
            return order_ledger.select_working_orders(connection, account)

    def order(self, intent_id: str) -> Order | None:
        with self._database.reading() as connection:
            return order_ledger.select_order(connection, intent_id)

    def working_order(self, intent_id: str) -> WorkingOrder | None:
        with self._database.reading() as connection:
            return order_ledger.select_working_order(connection, intent_id)

    def find_order(self, account: str, venue_order_id: str) -> WorkingOrder | None:
        with self._database.reading() as connection:
            return order_ledger.select_order_at_venue(connection, account, venue_order_id)

    def order_changes(self, intent_id: str) -> list[OrderChange]:
        with self._database.reading() as connection:
            return order_ledger.select_changes(connection, intent_id)

    def mark_sent(
        self, intent_id: str, lease: Lease, at: datetime, sent_at: datetime, void_after: datetime
    ) -> Order:
        with self._locked(intent_id) as (connection, working):
            intent, order = working.intent, working.order
            require_newest(connection, lease, intent.account)
            if order.status is not OrderStatus.INTENDED:
                return order
            halts = select_halts(connection, intent.account)
            if reason := reason_not_to_send(intent, order, halts, at):
                return order_ledger.store(connection, order, to_cancel(order, reason, at), reason, at)
            if intent.reduces:
                position = select_position(connection, intent.account, intent.pair)
                others = order_ledger.open_reducing(connection, intent)
                check_reduction(intent, working.remaining, position, others)
            marked = sent(intent, order, at, sent_at, void_after)
            cause = f"attempt {marked.attempt}"
            return order_ledger.store(connection, order, marked, cause, at, lease.fence)

    def record_order(self, order: Order, fills: Sequence[Fill], cause: str = "") -> Order:
        from trading.bus_messages import order_problem_alert  # loading the graph must not import msgspec

        with self._locked(order.intent_id) as (connection, working):
            intent, now = working.intent, working.order
            check_fills(intent, fills)
            surprising = book(connection, intent, fills)
            if surprising:
                since = min([order.updated_at, *(fill.filled_at for fill in fills)])
                insert_halts(connection, intent.account, [surprise_halt(intent, surprising, since)])
            filled = sum((fill.quantity for fill in fills_of(connection, intent.intent_id)), Decimal(0))
            words = "; ".join([cause or order.reason or order.status.value, *surprising])
            before = now
            for step in followed(intent, now, order, filled):
                now = order_ledger.store(connection, now, step, words, order.updated_at)
            if now.status is not before.status and (problem := order_problem_alert(intent, now)):
                append_many(connection, [problem])
            return now

    def request_cancel(self, intent_id: str, reason: str, at: datetime) -> Order:
        with self._database.transaction() as connection:
            lock_account(connection, order_ledger.account_of(connection, intent_id))
            return order_ledger.request_cancel(connection, intent_id, reason, at)

    def record_amend(self, intent_id: str, lease: Lease, trigger: Decimal, at: datetime) -> Order:
        with self._locked(intent_id) as (connection, working):
            require_newest(connection, lease, working.intent.account)
            moved = amended(working.intent, working.order, trigger, at)
            cause = f"trigger moved to {trigger:f}"
            return order_ledger.store(connection, working.order, moved, cause, at, lease.fence)

    @contextmanager
    def _locked(self, intent_id: str) -> Iterator[tuple[Connection, WorkingOrder]]:
        """Hold the row lock of the order's account, and read the order once it is held."""
        with self._database.transaction() as connection:
            require_lock(connection, order_ledger.account_of(connection, intent_id))
            yield connection, order_ledger.require_working_order(connection, intent_id)
