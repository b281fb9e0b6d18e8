"""Who sends the orders of an account, by this server's clock; inside the caller's transaction."""

from datetime import UTC, datetime

from trading.ports import Lease
from trading.stores.journal_rules import lease_lost_error
from trading.stores.postgres.accounts import select_opened_at
from trading.stores.postgres.connection import Connection

_NEWEST = "account = %s AND holder = %s AND fence = %s"


def acquire(connection: Connection, account: str, holder: str, seconds: float) -> Lease | None:
    select_opened_at(connection, account)
    row = connection.execute(
        "INSERT INTO leases (account, holder, fence, held_until) "
        "VALUES (%s, %s, nextval('lease_fences'), clock_timestamp() + make_interval(secs => %s)) "
        "ON CONFLICT (account) DO UPDATE "
        "SET holder = excluded.holder, fence = excluded.fence, held_until = excluded.held_until "
        "WHERE leases.holder IN ('', excluded.holder) OR leases.held_until <= clock_timestamp() RETURNING fence",
        (account, holder, seconds),
    ).fetchone()
    return None if row is None else Lease(account, holder, row["fence"])


def select_holder(connection: Connection, account: str) -> tuple[str, datetime] | None:
    """Return who sends now, and until when; None while nobody does."""
    row = connection.execute(
        "SELECT holder, held_until FROM leases "
        "WHERE account = %s AND holder <> '' AND held_until > clock_timestamp()",
        (account,),
    ).fetchone()
    return None if row is None else (row["holder"], row["held_until"].astimezone(UTC))


def renew(connection: Connection, lease: Lease, seconds: float) -> bool:
    statement = (
        f"UPDATE leases SET held_until = clock_timestamp() + make_interval(secs => %s) WHERE {_NEWEST}"
    )
    return connection.execute(statement, (seconds, *_key(lease))).rowcount == 1


def release(connection: Connection, lease: Lease) -> None:
    connection.execute(
        f"UPDATE leases SET holder = '', held_until = clock_timestamp() WHERE {_NEWEST}", _key(lease)
    )


def require_newest(connection: Connection, lease: Lease, account: str) -> None:
    """Raise LeaseLost unless it is the account's newest; it stays so until the transaction ends."""
    query = f"SELECT 1 FROM leases WHERE {_NEWEST} FOR SHARE"
    if lease.account != account or connection.execute(query, _key(lease)).fetchone() is None:
        raise lease_lost_error(lease)


def _key(lease: Lease) -> tuple[str, str, int]:
    return lease.account, lease.holder, lease.fence
