"""Accounts, their row lock, balances and adjustments, inside the caller's transaction."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading.ports import Adjustment
from trading.stores.journal_rules import unknown_account_error
from trading.stores.postgres.connection import Connection, insert
from trading.stores.postgres.rows import adjustment_from, plain_row


def insert_account(
    connection: Connection, account: str, balances: Mapping[str, Decimal], at: datetime
) -> None:
    row = {"account": account, "opened_at": at}
    if insert(connection, "accounts", row, "ON CONFLICT DO NOTHING"):
        for asset, amount in balances.items():
            entry = {"account": account, "asset": asset, "amount": amount, "entered_at": at}
            insert(connection, "ledger_entries", entry)


def lock_account(connection: Connection, account: str) -> bool:
    """Lock the account's row: whatever changes it waits here for its turn. False for an unknown account."""
    query = "SELECT 1 FROM accounts WHERE account = %s FOR NO KEY UPDATE"
    return connection.execute(query, (account,)).fetchone() is not None


def require_lock(connection: Connection, account: str) -> None:
    if not lock_account(connection, account):
        raise unknown_account_error(account)


def select_names(connection: Connection) -> list[str]:
    rows = connection.execute('SELECT account FROM accounts ORDER BY account COLLATE "C"')
    return [row["account"] for row in rows]


def select_opened_at(connection: Connection, account: str) -> datetime:
    row = connection.execute("SELECT opened_at FROM accounts WHERE account = %s", (account,)).fetchone()
    if row is None:
        raise unknown_account_error(account)
    opened: datetime = row["opened_at"].astimezone(UTC)
    return opened


def update_reconciled_at(connection: Connection, account: str, at: datetime) -> None:
    connection.execute(
        "UPDATE accounts SET reconciled_at = greatest(reconciled_at, %s), compared_on = clock_timestamp() "
        "WHERE account = %s",
        (at, account),
    )


def select_comparison_age(connection: Connection, account: str) -> timedelta:
    query = "SELECT clock_timestamp() - compared_on AS age FROM accounts WHERE account = %s"
    row = connection.execute(query, (account,)).fetchone()
    if row is None:
        raise unknown_account_error(account)
    age: timedelta = row["age"]
    return age


def select_reconciled_at(connection: Connection, account: str) -> datetime | None:
    row = connection.execute("SELECT reconciled_at FROM accounts WHERE account = %s", (account,)).fetchone()
    at: datetime | None = row["reconciled_at"] if row else None
    return at.astimezone(UTC) if at else None


def select_balances(
    connection: Connection, account: str, until: datetime | None = None
) -> dict[str, Decimal]:
    rows = connection.execute(
        "SELECT asset, sum(amount) AS amount FROM ledger_entries "
        "WHERE account = %s AND entered_at <= coalesce(%s, 'infinity'::timestamptz) GROUP BY asset ORDER BY asset",
        (account, until),
    )
    return {row["asset"]: row["amount"] for row in rows}


def select_balances_over_time(
    connection: Connection, account: str, at: datetime
) -> tuple[dict[str, Decimal], dict[str, Decimal], dict[str, Decimal]]:
    """Return the balances of now, those entered by `at`, and those entered before its UTC day began."""
    rows = connection.execute(
        "SELECT asset, sum(amount) AS now, sum(amount) FILTER (WHERE entered_at <= %(at)s) AS then, "
        "sum(amount) FILTER (WHERE entered_at < date_trunc('day', %(at)s::timestamptz, 'UTC')) AS before_day "
        "FROM ledger_entries WHERE account = %(account)s GROUP BY asset ORDER BY asset",
        {"account": account, "at": at},
    ).fetchall()
    now, then, before_day = (
        {row["asset"]: row[name] for row in rows if row[name] is not None}
        for name in ("now", "then", "before_day")
    )
    return now, then, before_day


def insert_adjustment(connection: Connection, adjustment: Adjustment) -> bool:
    require_lock(connection, adjustment.account)
    if not insert(connection, "adjustments", plain_row(adjustment), "ON CONFLICT DO NOTHING"):
        return False
    entry = {"account": adjustment.account, "asset": adjustment.asset, "amount": adjustment.amount}
    entry |= {"entered_at": adjustment.at, "adjustment": adjustment.reference}
    insert(connection, "ledger_entries", entry)
    connection.execute(
        "UPDATE equity_peaks SET equity = equity + coalesce(%s, 0) WHERE account = %s",
        (adjustment.value, adjustment.account),
    )
    return True


def select_adjustments(connection: Connection, account: str) -> list[Adjustment]:
    query = "SELECT * FROM adjustments WHERE account = %s ORDER BY at, number"
    return [adjustment_from(row) for row in connection.execute(query, (account,))]
