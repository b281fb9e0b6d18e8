"""Decisions and orders in memory."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from tests.doubles.stores.books import MemoryBooks, State, add_halts, require_account, sums
from trading.errors import InvalidValue
from trading.orders import (
    AT_VENUE,
    FINAL,
    TAKEN,
    Fill,
    Order,
    OrderChange,
    OrderIntent,
    OrderKind,
    OrderStatus,
    WorkingOrder,
)
from trading.portfolio import after_fill, cash_flows, excess
from trading.ports import AccountBooks, FailureKind, Lease
from trading.risk import HaltKind
from trading.stores.journal_rules import (
    MIN_PREFIX,
    check_decision,
    check_fills,
    check_opinions,
    decided_at,
    json_text,
    lease_lost_error,
    only_match,
    other_account_error,
    second_exit_error,
    unknown_intent_error,
    utc_day,
)
from trading.stores.order_rules import (
    amended,
    begun,
    check_order,
    check_reduction,
    followed,
    lowered_assets,
    reason_not_to_send,
    sent,
    surprise_halt,
    surprises,
    to_cancel,
)


class MemoryJournal(MemoryBooks):
    def books(self, account: str, at: datetime, orders_since: datetime) -> AccountBooks:
        midnight = datetime.combine(utc_day(at), time(), UTC)
        return AccountBooks(
            balances=self.balances(account),
            balances_then=self.balances(account, at),
            balances_before_day=self.balances(account, midnight - timedelta(microseconds=1)),
            positions=tuple(self.positions(account)),
            working=tuple(self.working_orders(account)),
            adjustments=tuple(self.adjustments(account)),
            snapshots=tuple(self.snapshots(account)),
            peak=self.peak(account),
            halts=tuple(self.halts(account)),
            recent_orders=self.intents_since(account, orders_since),
            rejects=self._rejects(account),
            comparison_age=self._clock() - self._state.compared_on[account],
        )

    def _rejects(self, account: str) -> int:
        own = [
            self._state.orders[each.intent_id]
            for each in self._state.intents.values()
            if each.account == account
        ]
        taken = [each.updated_at for each in own if each.attempt and each.status in TAKEN]
        halted = [each.since for each in self.halts(account) if each.kind is HaltKind.FAILURES]
        since = max((*taken, *halted), default=datetime.min.replace(tzinfo=UTC))
        return sum(each.status is OrderStatus.REJECTED and each.updated_at > since for each in own)

    def count_failure(self, account: str, kind: FailureKind, what: str, at: datetime) -> int:
        with self._transaction() as state:
            state.failures[account, kind] = state.failures.get((account, kind), 0) + 1
            return state.failures[account, kind]

    def end_failures(self, account: str, kinds: Collection[FailureKind]) -> None:
        with self._transaction() as state:
            for kind in kinds:
                state.failures.pop((account, kind), None)

    def record_decision(
        self, receipt: Mapping[str, Any], intent: OrderIntent | None, cancels: Sequence[str] = ()
    ) -> bool:
        check_decision(receipt, intent)
        check_opinions(receipt)
        at, decision_id = decided_at(receipt), receipt["decision_id"]
        text = json_text(dict(receipt))
        with self._transaction() as state:
            if decision_id in state.decisions:
                return False
            state.decisions[decision_id] = text
            for intent_id in cancels:
                if _intent(state, intent_id).account != receipt["account"]:
                    raise other_account_error(intent_id, receipt["account"])
                self.request_cancel(intent_id, f"cancelled by decision {decision_id}", at)
            if intent is not None:
                _insert(state, intent, begun(intent), f"decision {decision_id}")
                state.asked[decision_id] = intent.intent_id
        return True

    def decision(self, decision_id: str) -> dict[str, Any]:
        decisions = self._state.decisions
        exact = [decision_id] if decision_id in decisions else []
        found = exact or [
            each for each in decisions if len(decision_id) >= MIN_PREFIX and each.startswith(decision_id)
        ]
        return _receipt(decisions[only_match(decision_id, found)])

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        receipts = [_receipt(text) for text in reversed(self._state.decisions.values())]
        own = [receipt for receipt in receipts if receipt["account"] == account]
        return sorted(own, key=decided_at, reverse=True)[:limit]

    def decisions_since(self, account: str, since: datetime, until: datetime | None = None) -> list[str]:
        found = reversed(self.decisions(account, limit=len(self._state.decisions)))
        return [
            each["decision_id"]
            for each in found
            if decided_at(each) >= since and (until is None or decided_at(each) < until)
        ]

    def store_inputs(self, contents: Mapping[str, bytes]) -> None:
        if any(sha256(content).hexdigest() != digest for digest, content in contents.items()):
            raise InvalidValue("a content is not what its digest says")
        with self._transaction() as state:
            state.inputs.update(contents)

    def inputs(self, digests: Collection[str]) -> dict[str, bytes]:
        return {each: self._state.inputs[each] for each in digests if each in self._state.inputs}

    def newest_decision(self, account: str, action: str) -> dict[str, Any] | None:
        found = self.decisions(account, limit=len(self._state.decisions))
        return next((each for each in found if each["action"] == action), None)

    def intent(self, decision_id: str) -> OrderIntent | None:
        intent_id = self._state.asked.get(decision_id)
        return None if intent_id is None else self._state.intents[intent_id]

    def intents_since(self, account: str, since: datetime) -> int:
        return sum(
            each.account == account and each.created_at > since and each.kind is not OrderKind.STOP
            for each in self._state.intents.values()
        )

    def add_order(self, intent: OrderIntent, order: Order, cause: str) -> bool:
        check_order(intent, order)
        with self._transaction() as state:
            if intent.intent_id in state.intents:
                return False
            if intent.decision_id and intent.decision_id not in state.decisions:
                raise InvalidValue(f"intent {intent.intent_id}: no decision {intent.decision_id} is stored")
            _insert(state, intent, replace(order, filled=Decimal(0)), cause)
        return True

    def working_orders(self, account: str) -> list[WorkingOrder]:
        working = [
            WorkingOrder(intent, self._state.orders[intent.intent_id])
            for intent in self._state.intents.values()
            if intent.account == account and self._state.orders[intent.intent_id].status not in FINAL
        ]
        return sorted(working, key=lambda each: each.intent.created_at)

    def order(self, intent_id: str) -> Order | None:
        return self._state.orders.get(intent_id)

    def working_order(self, intent_id: str) -> WorkingOrder | None:
        intent = self._state.intents.get(intent_id)
        return None if intent is None else WorkingOrder(intent, self._state.orders[intent_id])

    def find_order(self, account: str, venue_order_id: str) -> WorkingOrder | None:
        own = (each for each in self._state.intents.values() if each.account == account)
        found = (WorkingOrder(each, self._state.orders[each.intent_id]) for each in own)
        return next((each for each in found if each.order.venue_order_id == venue_order_id != ""), None)

    def order_changes(self, intent_id: str) -> list[OrderChange]:
        return list(self._state.changes.get(intent_id, ()))

    def mark_sent(
        self, intent_id: str, lease: Lease, at: datetime, sent_at: datetime, void_after: datetime
    ) -> Order:
        with self._transaction() as state:
            intent, order = _intent(state, intent_id), state.orders.get(intent_id)
            assert order is not None
            require_account(state, intent.account)
            _require_lease(state, lease, intent)
            if order.status is not OrderStatus.INTENDED:
                return order
            if reason := reason_not_to_send(intent, order, state.halts.get(intent.account, ()), at):
                return _store(state, to_cancel(order, reason, at), reason, at)
            if intent.reduces:
                position = state.positions.get((intent.account, intent.pair))
                remaining = intent.quantity - order.filled
                check_reduction(intent, remaining, position, _open_reducing(state, intent))
            marked = sent(intent, order, at, sent_at, void_after)
            return _store(state, marked, f"attempt {marked.attempt}", at)

    def record_order(self, order: Order, fills: Sequence[Fill], cause: str = "") -> Order:
        with self._transaction() as state:
            intent = _intent(state, order.intent_id)
            require_account(state, intent.account)
            check_fills(intent, fills)
            surprising = _book(state, intent, _new_fills(state, fills))
            filled = sum((fill.quantity for fill in _fills_of(state, intent)), Decimal(0))
            if surprising:
                since = min([order.updated_at, *(fill.filled_at for fill in fills)])
                add_halts(state, intent.account, [surprise_halt(intent, surprising, since)])
            words = "; ".join([cause or order.reason or order.status.value, *surprising])
            now = state.orders[order.intent_id]
            for step in followed(intent, now, order, filled):
                now = _store(state, step, words, order.updated_at)
            return now

    def request_cancel(self, intent_id: str, reason: str, at: datetime) -> Order:
        with self._transaction() as state:
            _intent(state, intent_id)
            return _store(state, to_cancel(state.orders[intent_id], reason, at), reason, at)

    def record_amend(self, intent_id: str, lease: Lease, trigger: Decimal, at: datetime) -> Order:
        with self._transaction() as state:
            intent = _intent(state, intent_id)
            _require_lease(state, lease, intent)
            moved = amended(intent, state.orders[intent_id], trigger, at)
            return _store(state, moved, f"trigger moved to {trigger:f}", at)


def _intent(state: State, intent_id: str) -> OrderIntent:
    if intent_id not in state.intents:
        raise unknown_intent_error(intent_id)
    return state.intents[intent_id]


def _insert(state: State, intent: OrderIntent, order: Order, cause: str) -> None:
    if intent.intent_id in state.intents:
        raise InvalidValue(f"intent {intent.intent_id} belongs to another decision")
    if intent.kind is OrderKind.EXIT and order.status not in FINAL and _has_live_exit(state, intent):
        raise second_exit_error(intent)
    state.intents[intent.intent_id] = intent
    state.orders[intent.intent_id] = order
    _note(state, order, cause, order.updated_at)


def _has_live_exit(state: State, intent: OrderIntent) -> bool:
    return any(
        each.kind is OrderKind.EXIT and state.orders[each.intent_id].status not in FINAL
        for each in _same_pair(state, intent)
    )


def _same_pair(state: State, intent: OrderIntent) -> list[OrderIntent]:
    key = (intent.account, intent.pair)
    return [each for each in state.intents.values() if (each.account, each.pair) == key]


def _open_reducing(state: State, intent: OrderIntent) -> Decimal:
    """What orders of the pair that close may still execute, this one apart."""
    others = [each for each in _same_pair(state, intent) if each.reduces and each != intent]
    working = [WorkingOrder(each, state.orders[each.intent_id]) for each in others]
    return sum((each.remaining for each in working if each.order.status in AT_VENUE), Decimal(0))


def _require_lease(state: State, lease: Lease, intent: OrderIntent) -> None:
    newest = state.leases.get(intent.account)
    if newest is None or newest[0] != lease:
        raise lease_lost_error(lease)


def _store(state: State, order: Order, cause: str, at: datetime) -> Order:
    known = state.orders[order.intent_id]
    state.orders[order.intent_id] = order
    if replace(order, reason=known.reason, updated_at=known.updated_at) != known:  # not the same heard again
        _note(state, order, cause, at)
    return order


def _note(state: State, order: Order, cause: str, at: datetime) -> None:
    change = OrderChange(order.intent_id, order.status, order.attempt, cause, at)
    state.changes[order.intent_id] = (*state.changes.get(order.intent_id, ()), change)


def _new_fills(state: State, fills: Sequence[Fill]) -> list[Fill]:
    new: dict[str, Fill] = {}
    for fill in fills:
        known = state.fills.get(fill.fill_id)
        if known is None:
            new.setdefault(fill.fill_id, fill)
        elif known.intent_id != fill.intent_id:
            raise InvalidValue(f"fill {fill.fill_id} belongs to another order than {fill.intent_id}")
    return list(new.values())


def _fills_of(state: State, intent: OrderIntent) -> list[Fill]:
    return [fill for fill in state.fills.values() if fill.intent_id == intent.intent_id]


def _book(state: State, intent: OrderIntent, new: Sequence[Fill]) -> list[str]:
    """Book them, and say what is wrong with the account then."""
    beyond = Decimal(0)
    for fill in new:
        key, earlier = (fill.account, fill.pair), _fills_of(state, intent)
        flows = cash_flows(fill).items()
        state.ledger[fill.account] += tuple((fill.filled_at, asset, amount) for asset, amount in flows)
        position = state.positions.pop(key, None)
        beyond += excess(position, fill, intent)
        moved = after_fill(position, fill, intent, earlier)
        if moved is not None:
            state.positions[key] = moved
        state.fills[fill.fill_id] = fill
    if not new:
        return []
    filled = sum((fill.quantity for fill in _fills_of(state, intent)), Decimal(0))
    return surprises(intent, filled, beyond, sums(state.ledger[intent.account]), lowered_assets(new))


def _receipt(text: str) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(text)
    return receipt
