"""Decisions, orders and money in memory."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent
from trading.portfolio import Position, after_fill, cash_flows
from trading.risk import Halt, Resume
from trading.stores.journal_rules import (
    FINAL,
    MIN_PREFIX,
    check_balances,
    check_decision,
    check_equity,
    check_filled_quantity,
    check_fills,
    check_opening,
    check_opinions,
    check_resume,
    check_transition,
    decided_at,
    json_text,
    not_paused_error,
    only_match,
    parse_snapshot,
    snapshot_json,
    unknown_account_error,
    utc_day,
)

Entry = tuple[datetime, str, Decimal]  # entered at, asset, amount


class MemoryJournal:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ledger: dict[str, list[Entry]] = {}
        self._decisions: dict[str, str] = {}  # id -> receipt as JSON, in the order of recording
        self._intents: dict[str, OrderIntent] = {}  # by intent id
        self._orders: dict[str, Order] = {}
        self._fills: dict[str, Fill] = {}
        self._positions: dict[tuple[str, Pair], Position] = {}
        self._opened: dict[str, datetime] = {}
        self._snapshots: dict[tuple[str, datetime], str] = {}
        self._peaks: dict[str, Decimal] = {}
        self._halts: dict[str, list[Halt]] = {}

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        check_opening(account, balances)
        with self._lock:
            self._opened.setdefault(account, at)
            self._ledger.setdefault(account, [(at, asset, amount) for asset, amount in balances.items()])

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        if account not in self._ledger:
            raise unknown_account_error(account)
        return _sums([entry for entry in self._ledger[account] if until is None or entry[0] <= until])

    def record_decision(self, receipt: Mapping[str, Any], intent: OrderIntent | None) -> bool:
        check_decision(receipt, intent)
        check_opinions(receipt)
        decided_at(receipt)
        text = json_text(dict(receipt))
        with self._lock:
            if receipt["decision_id"] in self._decisions:
                return False
            if intent is not None and intent.intent_id in self._intents:
                raise InvalidValue(f"intent {intent.intent_id} belongs to another decision")
            if intent is not None:
                self._intents[intent.intent_id] = intent
            self._decisions[receipt["decision_id"]] = text
        return True

    def decision(self, decision_id: str) -> dict[str, Any]:
        exact = [decision_id] if decision_id in self._decisions else []
        found = exact or [
            each
            for each in self._decisions
            if len(decision_id) >= MIN_PREFIX and each.startswith(decision_id)
        ]
        return _receipt(self._decisions[only_match(decision_id, found)])

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        receipts = [_receipt(text) for text in reversed(self._decisions.values())]
        own = [receipt for receipt in receipts if receipt["account"] == account]
        return sorted(own, key=decided_at, reverse=True)[:limit]

    def intent(self, decision_id: str) -> OrderIntent | None:
        return next((each for each in self._intents.values() if each.decision_id == decision_id), None)

    def unsettled(self, account: str) -> list[OrderIntent]:
        return sorted(
            (
                each
                for each in self._intents.values()
                if each.account == account and not self._is_settled(each)
            ),
            key=lambda intent: intent.created_at,
        )

    def intents_since(self, account: str, since: datetime) -> int:
        return sum(each.account == account and each.created_at > since for each in self._intents.values())

    def _is_settled(self, intent: OrderIntent) -> bool:
        order = self._orders.get(intent.intent_id)
        return order is not None and order.status in FINAL

    def record_order(self, order: Order, fills: Sequence[Fill]) -> None:
        with self._lock:
            intent = self._find_intent(order.intent_id)
            check_fills(intent, fills)
            new = self._new_fills(fills)
            earlier = self._orders.get(order.intent_id)
            check_transition(earlier, order, list(new.values()))
            check_filled_quantity(intent, self._filled_quantity(intent, new))
            entries = [
                (fill.filled_at, asset, amount)
                for fill in new.values()
                for asset, amount in cash_flows(fill).items()
            ]
            check_balances(intent.account, _sums(self._ledger[intent.account] + entries))
            self._ledger[intent.account] += entries
            self._fills |= new
            for fill in new.values():
                self._update_position(fill, intent)
            if earlier is None or earlier.status not in FINAL:
                self._orders[order.intent_id] = order

    def _find_intent(self, intent_id: str) -> OrderIntent:
        if intent_id not in self._intents:
            raise NotStored(f"no intent {intent_id}: record the decision with its intent first")
        intent = self._intents[intent_id]
        if intent.account not in self._ledger:
            raise NotStored(f"no account {intent.account}: open it before its first order")
        return intent

    def _new_fills(self, fills: Sequence[Fill]) -> dict[str, Fill]:
        new: dict[str, Fill] = {}
        for fill in fills:
            known = self._fills.get(fill.fill_id)
            if known is None:
                new.setdefault(fill.fill_id, fill)
            elif known.intent_id != fill.intent_id:
                raise InvalidValue(f"fill {fill.fill_id} belongs to another order than {fill.intent_id}")
        return new

    def _filled_quantity(self, intent: OrderIntent, new: Mapping[str, Fill]) -> Decimal:
        fills = [*self._fills.values(), *new.values()]
        return sum((fill.quantity for fill in fills if fill.intent_id == intent.intent_id), Decimal(0))

    def _update_position(self, fill: Fill, intent: OrderIntent) -> None:
        moved = after_fill(self._positions.pop((fill.account, fill.pair), None), fill, intent)
        if moved is not None:
            self._positions[fill.account, fill.pair] = moved

    def order(self, intent_id: str) -> Order | None:
        return self._orders.get(intent_id)

    def fills(self, account: str) -> list[Fill]:
        own = [fill for fill in self._fills.values() if fill.account == account]
        return sorted(own, key=lambda fill: fill.filled_at)

    def position(self, account: str, pair: Pair) -> Position | None:
        return self._positions.get((account, pair))

    def positions(self, account: str) -> list[Position]:
        own = [position for position in self._positions.values() if position.account == account]
        return sorted(own, key=lambda position: str(position.pair))

    def opened_at(self, account: str) -> datetime:
        if account not in self._opened:
            raise unknown_account_error(account)
        return self._opened[account]

    def save_snapshot(self, account: str, at: datetime, snapshot: Mapping[str, Any]) -> None:
        self._snapshots[account, at] = snapshot_json(snapshot)

    def snapshots(self, account: str) -> list[dict[str, Any]]:
        newest = {row["day"]: row for row in self.snapshots_since(account, datetime.min.replace(tzinfo=UTC))}
        return list(newest.values())

    def snapshots_since(self, account: str, since: datetime) -> list[dict[str, Any]]:
        own = sorted((at, text) for (name, at), text in self._snapshots.items() if name == account)
        return [parse_snapshot(utc_day(at), text) for at, text in own if at >= since]

    def raise_peak(self, account: str, equity: Decimal) -> Decimal:
        check_equity(account, equity)
        with self._lock:
            self._peaks[account] = max(equity, self._peaks.get(account, equity))
            return self._peaks[account]

    def peak(self, account: str) -> Decimal | None:
        return self._peaks.get(account)

    def begin_halts(self, account: str, halts: Sequence[Halt]) -> None:
        with self._lock:
            known = self._halts.setdefault(account, [])
            for halt in halts:
                if not any(_is_same(halt, each) for each in known):
                    known.append(halt)

    def halts(self, account: str) -> list[Halt]:
        return sorted(self._halts.get(account, []), key=lambda halt: halt.since)

    def resume(self, account: str, resume: Resume, equity: Decimal) -> Halt:
        check_resume(resume)
        check_equity(account, equity)
        with self._lock:
            known = self._halts.get(account, [])
            for place, halt in enumerate(known):
                if halt.needs_resume:
                    known[place] = replace(halt, resume=resume)
                    self._peaks[account] = equity
                    return known[place]
        raise not_paused_error(account)


def _is_same(halt: Halt, known: Halt) -> bool:
    """An account is paused once, whoever notices it."""
    return (halt.kind, halt.since) == (known.kind, known.since) or (halt.needs_resume and known.needs_resume)


def _sums(entries: Sequence[Entry]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for _, asset, amount in sorted(entries, key=lambda entry: entry[1]):
        totals[asset] = totals.get(asset, Decimal(0)) + amount
    return totals


def _receipt(text: str) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(text)
    return receipt
