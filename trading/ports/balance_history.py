"""Protocols of the balance history: who writes the account's minutes, and who reads them. Times are UTC."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.account_minute import AccountMinute, BookedAccount


class BalanceHistory(Protocol):
    """The minutes of all accounts. StoreUnreachable where the store does not answer."""

    def minutes(self, account: str, start: datetime, end: datetime) -> list[AccountMinute]:
        """List the minutes that begin in [start, end), oldest first; empty where none was written."""

    def day_ends(self, account: str, end: datetime, days: int) -> list[AccountMinute]:
        """List the newest minute of each of the last `days` UTC days before `end`, oldest first."""

    def ledger_balances(self, account: str, at: datetime, newest_entry: int) -> dict[str, Decimal]:
        """Sum the ledger's entries of `at` or before per asset, as they were once `newest_entry` was in it."""


class MinuteWriter(Protocol):
    """Writes the minutes of one account from a stream. StoreUnreachable where the store does not answer."""

    def booked(self, at: datetime) -> BookedAccount:
        """Return what is booked up to `at`, as it is known now. NotStored before the account has opened."""

    def write(self, minutes: Sequence[AccountMinute]) -> None:
        """Store the minutes; one that is there already stays as it was written first.

        LeaseLost when another process streams by now: it writes them, on its own prices.
        """

    def close(self) -> None:
        """Close its connections."""
