"""Accounts, money, positions, halts and snapshots in memory: the half of the journal that knows no orders."""

import copy
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import get_ident
from typing import Any

from trading.market import Pair
from trading.orders import Fill, Order, OrderChange, OrderIntent
from trading.portfolio import Position, with_protection
from trading.ports import Adjustment, FailureKind, Lease
from trading.risk import Halt, HaltKind, Resume
from trading.stores.journal_rules import (
    check_adjustment,
    check_equity,
    check_lease,
    check_opening,
    check_resume,
    not_paused_error,
    parse_snapshot,
    snapshot_json,
    unknown_account_error,
    utc_day,
)
from trading.stores.order_rules import begun_anew

Entry = tuple[datetime, str, Decimal]  # entered at, asset, amount
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class State:
    """Everything that is stored. The values in it never change, so a copy of its dictionaries is a copy of it."""

    opened: dict[str, datetime] = field(default_factory=dict)
    reconciled: dict[str, datetime] = field(default_factory=dict)
    compared_on: dict[str, datetime] = field(default_factory=dict)  # by the store's clock
    ledger: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)  # id -> receipt as JSON, oldest first
    inputs: dict[str, bytes] = field(default_factory=dict)  # what decisions read, by its digest
    intents: dict[str, OrderIntent] = field(default_factory=dict)  # by intent id
    asked: dict[str, str] = field(default_factory=dict)  # decision id -> its own intent's id
    orders: dict[str, Order] = field(default_factory=dict)
    changes: dict[str, tuple[OrderChange, ...]] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    positions: dict[tuple[str, Pair], Position] = field(default_factory=dict)
    adjustments: dict[tuple[str, str], Adjustment] = field(default_factory=dict)
    leases: dict[str, tuple[Lease, datetime]] = field(default_factory=dict)  # account -> newest, held until
    snapshots: dict[tuple[str, datetime], str] = field(default_factory=dict)
    peaks: dict[str, Decimal] = field(default_factory=dict)
    halts: dict[str, tuple[Halt, ...]] = field(default_factory=dict)
    failures: dict[tuple[str, FailureKind], int] = field(default_factory=dict)


class MemoryBooks:
    """`clock` stands for the database's own: leases are counted by it."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._committed = State()
        self._changing: State | None = None  # by the thread that holds the lock
        self._writer = 0

    @property
    def _state(self) -> State:
        """What this thread may see: what is committed, and in its own transaction what it has changed."""
        changing = self._changing
        return changing if changing is not None and self._writer == get_ident() else self._committed

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        """Hold every other writer off, and undo all that happened inside when it raises."""
        with self._lock:
            outer, state = self._changing, self._copied_state()
            self._writer, self._changing = get_ident(), state
            try:
                yield state
            except BaseException:
                self._changing = outer
                raise
            if outer is None:
                self._committed, self._changing = state, None
            else:
                vars(outer).update(vars(state))
                self._changing = outer

    def _copied_state(self) -> State:
        return State(**{name: copy.copy(each) for name, each in vars(self._state).items()})

    @contextmanager
    def exclusive(self, account: str) -> Iterator[None]:
        with self._transaction() as state:
            require_account(state, account)
            yield

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        check_opening(account, balances)
        with self._transaction() as state:
            state.opened.setdefault(account, at)
            state.compared_on.setdefault(account, self._clock())
            state.ledger.setdefault(account, tuple((at, asset, amount) for asset, amount in balances.items()))

    def accounts(self) -> list[str]:
        return sorted(self._state.opened)

    def opened_at(self, account: str) -> datetime:
        require_account(self._state, account)
        return self._state.opened[account]

    def note_reconciled(self, account: str, at: datetime) -> None:
        with self._transaction() as state:
            require_account(state, account)
            state.reconciled[account] = max(at, state.reconciled.get(account, at))
            state.compared_on[account] = self._clock()

    def reconciled_at(self, account: str) -> datetime | None:
        require_account(self._state, account)
        return self._state.reconciled.get(account)

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        require_account(self._state, account)
        entries = self._state.ledger[account]
        return sums([entry for entry in entries if until is None or entry[0] <= until])

    def record_adjustment(self, adjustment: Adjustment) -> bool:
        check_adjustment(adjustment)
        with self._transaction() as state:
            require_account(state, adjustment.account)
            key = (adjustment.account, adjustment.reference)
            if key in state.adjustments:
                return False
            state.adjustments[key] = adjustment
            state.ledger[adjustment.account] += ((adjustment.at, adjustment.asset, adjustment.amount),)
            if adjustment.account in state.peaks:
                state.peaks[adjustment.account] += adjustment.value or 0
        return True

    def adjustments(self, account: str) -> list[Adjustment]:
        own = [each for each in self._state.adjustments.values() if each.account == account]
        return sorted(own, key=lambda adjustment: adjustment.at)

    def fills(self, account: str, *, of_positions: bool = False) -> list[Fill]:
        own = [
            fill
            for fill in self._state.fills.values()
            if fill.account == account and not (of_positions and self._state.intents[fill.intent_id].converts)
        ]
        return sorted(own, key=lambda fill: fill.filled_at)

    def position(self, account: str, pair: Pair) -> Position | None:
        return self._state.positions.get((account, pair))

    def positions(self, account: str) -> list[Position]:
        own = [position for position in self._state.positions.values() if position.account == account]
        return sorted(own, key=lambda position: str(position.pair))

    def update_protection(self, position: Position) -> bool:
        key = (position.account, position.pair)
        with self._transaction() as state:
            stored = state.positions.get(key)
            if stored is None or _identity(stored) != _identity(position):
                return False
            state.positions[key] = with_protection(stored, position)
        return True

    def save_snapshot(self, account: str, at: datetime, snapshot: Mapping[str, Any]) -> None:
        with self._transaction() as state:
            state.snapshots[account, at] = snapshot_json(snapshot)

    def snapshots(self, account: str) -> list[dict[str, Any]]:
        newest = {row["day"]: row for row in self.snapshots_since(account, datetime.min.replace(tzinfo=UTC))}
        return list(newest.values())

    def snapshots_since(self, account: str, since: datetime) -> list[dict[str, Any]]:
        own = sorted((at, text) for (name, at), text in self._state.snapshots.items() if name == account)
        return [parse_snapshot(utc_day(at), text) for at, text in own if at >= since]

    def raise_peak(self, account: str, equity: Decimal) -> Decimal:
        check_equity(account, equity)
        with self._transaction() as state:
            state.peaks[account] = max(equity, state.peaks.get(account, equity))
            return state.peaks[account]

    def peak(self, account: str) -> Decimal | None:
        return self._state.peaks.get(account)

    def begin_halts(self, account: str, halts: Sequence[Halt]) -> None:
        with self._transaction() as state:
            add_halts(state, account, halts)

    def halts(self, account: str) -> list[Halt]:
        return sorted(self._state.halts.get(account, ()), key=lambda halt: halt.since)

    def resume(
        self, account: str, resume: Resume, equity: Decimal, kinds: Collection[HaltKind] | None = None
    ) -> list[Halt]:
        check_resume(resume)
        check_equity(account, equity)
        with self._transaction() as state:
            known = state.halts.get(account, ())
            ended = {
                halt: replace(halt, resume=resume)
                for halt in known
                if halt.needs_resume and (kinds is None or halt.kind in kinds)
            }
            if not ended:
                raise not_paused_error(account, kinds)
            state.halts[account] = tuple(ended.get(halt, halt) for halt in known)
            if any(halt.kind is HaltKind.DRAWDOWN for halt in ended):
                state.peaks[account] = equity
        return sorted(ended.values(), key=lambda halt: halt.since)

    def acquire_lease(self, account: str, holder: str, seconds: float) -> Lease | None:
        check_lease(holder, seconds)
        with self._transaction() as state:
            require_account(state, account)
            newest, until = state.leases.get(account, (Lease(account, "", 0), _NEVER))
            if newest.holder not in ("", holder) and until > self._clock():
                return None
            lease = Lease(account, holder, newest.fence + 1)
            state.leases[account] = (lease, self._clock() + timedelta(seconds=seconds))
        return lease

    def renew_lease(self, lease: Lease, seconds: float) -> bool:
        check_lease(lease.holder, seconds)
        with self._transaction() as state:
            if not _is_newest(state, lease):
                return False
            state.leases[lease.account] = (lease, self._clock() + timedelta(seconds=seconds))
        return True

    def release_lease(self, lease: Lease) -> None:
        with self._transaction() as state:
            if _is_newest(state, lease):
                state.leases[lease.account] = (replace(lease, holder=""), _NEVER)


def require_account(state: State, account: str) -> None:
    if account not in state.opened:
        raise unknown_account_error(account)


def add_halts(state: State, account: str, halts: Sequence[Halt]) -> None:
    for halt in halts:
        known = state.halts.get(account, ())
        begun = begun_anew(halt, known)
        if not any(_is_same(begun, each) for each in known):
            state.halts[account] = (*known, begun)


def _identity(position: Position) -> tuple[datetime, Decimal]:
    return position.opened_at, position.quantity


def _is_newest(state: State, lease: Lease) -> bool:
    return lease.account in state.leases and state.leases[lease.account][0] == lease


def _is_same(halt: Halt, known: Halt) -> bool:
    """An account is paused once for each reason, whoever notices it."""
    paused = halt.needs_resume and known.needs_resume
    return halt.kind is known.kind and (halt.since == known.since or paused)


def sums(entries: Sequence[Entry]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for _, asset, amount in sorted(entries, key=lambda entry: entry[1]):
        totals[asset] = totals.get(asset, Decimal(0)) + amount
    return totals
