"""Portfolio snapshots, inside the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.stores.journal_rules import parse_snapshot, snapshot_json, utc_day
from trading.stores.postgres.connection import Connection


def upsert_snapshot(connection: Connection, account: str, at: datetime, snapshot: Mapping[str, Any]) -> None:
    text = snapshot_json(snapshot)
    balances = snapshot_json({"equity": 0, "balances": snapshot["balances"]})
    connection.execute(
        "INSERT INTO portfolio_snapshots (account, day, at, equity, balances, snapshot) "
        "VALUES (%s, %s, %s, %s, %s::json -> 'balances', %s) ON CONFLICT (account, day, at) DO UPDATE "
        "SET equity = excluded.equity, balances = excluded.balances, snapshot = excluded.snapshot",
        (account, utc_day(at), at, Decimal(snapshot["equity"]), balances, text),
    )


def select_daily(connection: Connection, account: str) -> list[dict[str, Any]]:
    """Look up the newest of each day from the first day to the last: the rows of a day may be thousands."""
    rows = connection.execute(
        "SELECT newest.day, newest.snapshot::text "
        "FROM (SELECT min(day) AS first, max(day) AS last FROM portfolio_snapshots WHERE account = %s) span, "
        "generate_series(span.first, span.last, interval '1 day') AS each, LATERAL (SELECT day, snapshot "
        "FROM portfolio_snapshots WHERE account = %s AND day = each::date ORDER BY at DESC LIMIT 1) newest "
        "ORDER BY newest.day",
        (account, account),
    )
    return [parse_snapshot(row["day"], row["snapshot"]) for row in rows]


def select_since(connection: Connection, account: str, since: datetime) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT day, snapshot::text FROM portfolio_snapshots "
        "WHERE account = %s AND day >= %s AND at >= %s ORDER BY day, at",
        (account, utc_day(since), since),
    )
    return [parse_snapshot(row["day"], row["snapshot"]) for row in rows]
