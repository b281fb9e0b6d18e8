"""Accounts, money, positions, halts, leases and snapshots in PostgreSQL: what a journal has besides orders."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.market import Pair
from trading.orders import Fill
from trading.portfolio import Position
from trading.ports import Adjustment, Lease
from trading.risk import Halt, HaltKind, Resume
from trading.stores.journal_rules import (
    check_adjustment,
    check_equity,
    check_lease,
    check_opening,
    check_resume,
)
from trading.stores.postgres import accounts, booking, halts, leases, snapshots
from trading.stores.postgres.connection import Database


class PostgresBooks:
    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    @contextmanager
    def exclusive(self, account: str) -> Iterator[None]:
        with self._database.transaction() as connection:
            accounts.require_lock(connection, account)
            yield

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        check_opening(account, balances)
        with self._database.transaction() as connection:
            accounts.insert_account(connection, account, balances, at)

    def accounts(self) -> list[str]:
        with self._database.reading() as connection:
            return accounts.select_names(connection)

    def opened_at(self, account: str) -> datetime:
        with self._database.reading() as connection:
            return accounts.select_opened_at(connection, account)

    def note_reconciled(self, account: str, at: datetime) -> None:
        with self._database.transaction() as connection:
            accounts.select_opened_at(connection, account)
            accounts.update_reconciled_at(connection, account, at)

    def reconciled_at(self, account: str) -> datetime | None:
        with self._database.reading() as connection:
            accounts.select_opened_at(connection, account)
            return accounts.select_reconciled_at(connection, account)

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        with self._database.reading() as connection:
            accounts.select_opened_at(connection, account)
            return accounts.select_balances(connection, account, until)

    def record_adjustment(self, adjustment: Adjustment) -> bool:
        check_adjustment(adjustment)
        with self._database.transaction() as connection:
            return accounts.insert_adjustment(connection, adjustment)

    def adjustments(self, account: str) -> list[Adjustment]:
        with self._database.reading() as connection:
            return accounts.select_adjustments(connection, account)

    def fills(self, account: str, *, of_positions: bool = False) -> list[Fill]:
        with self._database.reading() as connection:
            return booking.select_fills(connection, account, of_positions=of_positions)

    def position(self, account: str, pair: Pair) -> Position | None:
        with self._database.reading() as connection:
            return booking.select_position(connection, account, pair)

    def positions(self, account: str) -> list[Position]:
        with self._database.reading() as connection:
            return booking.select_positions(connection, account)

    def update_protection(self, position: Position) -> bool:
        with self._database.transaction() as connection:
            return booking.update_protection(connection, position)

    def save_snapshot(self, account: str, at: datetime, snapshot: Mapping[str, Any]) -> None:
        with self._database.transaction() as connection:
            snapshots.upsert_snapshot(connection, account, at, snapshot)

    def snapshots(self, account: str) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            return snapshots.select_daily(connection, account)

    def snapshots_since(self, account: str, since: datetime) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            return snapshots.select_since(connection, account, since)

    def raise_peak(self, account: str, equity: Decimal) -> Decimal:
        check_equity(account, equity)
        with self._database.transaction() as connection:
            return halts.raise_peak(connection, account, equity)

    def peak(self, account: str) -> Decimal | None:
        with self._database.reading() as connection:
            return halts.select_peak(connection, account)

    def begin_halts(self, account: str, begun: Sequence[Halt]) -> None:
        with self._database.transaction() as connection:
            halts.insert_halts(connection, account, begun)

    def halts(self, account: str) -> list[Halt]:
        with self._database.reading() as connection:
            return halts.select_halts(connection, account)

    def resume(
        self, account: str, resume: Resume, equity: Decimal, kinds: Collection[HaltKind] | None = None
    ) -> list[Halt]:
        check_resume(resume)
        check_equity(account, equity)
        with self._database.transaction() as connection:
            return halts.end_pauses(connection, account, resume, equity, kinds)

    def acquire_lease(self, account: str, holder: str, seconds: float) -> Lease | None:
        check_lease(holder, seconds)
        with self._database.transaction() as connection:
            return leases.acquire(connection, account, holder, seconds)

    def lease_holder(self, account: str) -> tuple[str, datetime] | None:
        """Return who sends the account's orders now, and until when; None while nobody does."""
        with self._database.reading() as connection:
            return leases.select_holder(connection, account)

    def renew_lease(self, lease: Lease, seconds: float) -> bool:
        check_lease(lease.holder, seconds)
        with self._database.transaction() as connection:
            return leases.renew(connection, lease, seconds)

    def release_lease(self, lease: Lease) -> None:
        with self._database.transaction() as connection:
            leases.release(connection, lease)
