"""What failed in a row, inside the caller's transaction."""

from collections.abc import Collection
from datetime import datetime

from trading.orders import TAKEN
from trading.ports import FailureKind
from trading.stores.postgres.connection import Connection


def count_failure(connection: Connection, account: str, kind: FailureKind, what: str, at: datetime) -> int:
    row = connection.execute(
        "INSERT INTO failures_in_a_row AS known (account, kind, number, newest, at) VALUES (%s, %s, 1, %s, %s) "
        "ON CONFLICT (account, kind) DO UPDATE SET number = known.number + 1, newest = excluded.newest, "
        "at = excluded.at RETURNING number",
        (account, kind.value, what, at),
    ).fetchone()
    assert row is not None
    number: int = row["number"]
    return number


def end_failures(connection: Connection, account: str, kinds: Collection[FailureKind]) -> None:
    connection.execute(
        "DELETE FROM failures_in_a_row WHERE account = %s AND kind = ANY(%s)",
        (account, [kind.value for kind in kinds]),
    )


def count_rejects(connection: Connection, account: str) -> int:
    """Count the orders that the venue has rejected since the newest one that it took, or since this halted trading."""
    row = connection.execute(
        "WITH own AS (SELECT o.status, o.attempt, o.updated_at FROM orders o JOIN order_intents i USING (intent_id) "
        "WHERE i.account = %(account)s) "
        "SELECT count(*) AS number FROM own WHERE status = 'rejected' AND updated_at > greatest("
        "(SELECT max(updated_at) FROM own WHERE attempt > 0 AND status = ANY(%(taken)s)), "
        "(SELECT max(since) FROM halts WHERE account = %(account)s AND kind = 'failures'), '-infinity')",
        {"account": account, "taken": [status.value for status in TAKEN]},
    ).fetchone()
    return row["number"] if row else 0
