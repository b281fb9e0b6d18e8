"""Receipts of decisions, inside the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trading.orders import OrderIntent
from trading.stores.journal_rules import MIN_PREFIX, only_match
from trading.stores.postgres.connection import Connection, insert
from trading.stores.postgres.rows import decision_row, log_rows, opinion_rows, receipt_from


def insert_decision(connection: Connection, receipt: Mapping[str, Any], intent: OrderIntent | None) -> bool:
    """Insert receipt, opinions and what the log says of models; False when the id is known."""
    if not insert(connection, "trade_decisions", decision_row(receipt, intent), "ON CONFLICT DO NOTHING"):
        return False
    for row in opinion_rows(receipt):
        insert(connection, "agent_opinions", row)
    for row in log_rows(receipt):
        insert(connection, "agent_logs", row)
    return True


def select_decision(connection: Connection, decision_id: str) -> dict[str, Any]:
    query = "SELECT decision_id, receipt::text FROM trade_decisions WHERE decision_id = %s"
    found = connection.execute(query, (decision_id,)).fetchall() or _with_prefix(connection, decision_id)
    only_match(decision_id, [row["decision_id"] for row in found])
    return receipt_from(found[0])


def _with_prefix(connection: Connection, prefix: str) -> list[dict[str, Any]]:
    if len(prefix) < MIN_PREFIX:
        return []
    query = "SELECT decision_id, receipt::text FROM trade_decisions WHERE decision_id ^@ %s LIMIT 2"
    return connection.execute(query, (prefix,)).fetchall()


def select_newest_decision(connection: Connection, account: str, action: str) -> dict[str, Any] | None:
    row = connection.execute(
        "SELECT receipt::text FROM trade_decisions WHERE account = %s AND action = %s "
        "ORDER BY decided_at DESC, number DESC LIMIT 1",
        (account, action),
    ).fetchone()
    return receipt_from(row) if row else None


def select_decisions(connection: Connection, account: str, limit: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT receipt::text FROM trade_decisions WHERE account = %s "
        "ORDER BY decided_at DESC, number DESC LIMIT %s",
        (account, limit),
    )
    return [receipt_from(row) for row in rows]


def select_since(connection: Connection, account: str, since: datetime, until: datetime | None) -> list[str]:
    rows = connection.execute(
        "SELECT decision_id FROM trade_decisions WHERE account = %s AND decided_at >= %s "
        "AND decided_at < coalesce(%s, 'infinity'::timestamptz) ORDER BY decided_at, number",
        (account, since, until),
    )
    return [row["decision_id"] for row in rows]
