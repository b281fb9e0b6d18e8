"""Books what a venue reports of one order, inside the caller's transaction."""

from collections.abc import Sequence
from decimal import Decimal

from trading.errors import InvalidValue
from trading.orders import Fill, Order, OrderIntent, OrderStatus
from trading.portfolio import after_fill, cash_flows
from trading.stores.journal_rules import check_fills
from trading.stores.postgres.connection import Connection, insert
from trading.stores.postgres.rows import plain_row, position_from


def book(connection: Connection, intent: OrderIntent, order: Order, fills: Sequence[Fill]) -> None:
    """Book order state, fills, ledger and position. The caller holds the account's lock; InvalidValue undoes it all."""
    check_fills(intent, fills)
    new = [fill for fill in fills if _insert_fill(connection, fill)]
    for fill in new:
        _insert_ledger_entries(connection, fill)
        _update_position(connection, fill, intent)
    _upsert_order(connection, order)


def _insert_fill(connection: Connection, fill: Fill) -> bool:
    """Insert the fill; False when it is known. An id that belongs to another order is an error."""
    if insert(connection, "fills", plain_row(fill), "ON CONFLICT DO NOTHING"):
        return True
    known = connection.execute("SELECT intent_id FROM fills WHERE fill_id = %s", (fill.fill_id,)).fetchone()
    if known is None or known["intent_id"] != fill.intent_id:
        raise InvalidValue(f"fill {fill.fill_id} belongs to another order than {fill.intent_id}")
    return False


def _insert_ledger_entries(connection: Connection, fill: Fill) -> None:
    for asset, amount in cash_flows(fill).items():
        entry = {"account": fill.account, "asset": asset, "amount": amount}
        insert(connection, "ledger_entries", entry | {"entered_at": fill.filled_at, "fill_id": fill.fill_id})


def _update_position(connection: Connection, fill: Fill, intent: OrderIntent) -> None:
    key = (fill.account, str(fill.pair))
    row = connection.execute(
        "DELETE FROM positions WHERE account = %s AND pair = %s RETURNING *", key
    ).fetchone()
    moved = after_fill(position_from(row) if row else None, fill, intent)
    if moved is not None:
        insert(connection, "positions", plain_row(moved))


def _filled_quantity(connection: Connection, intent: OrderIntent) -> Decimal:
    query = "SELECT coalesce(sum(quantity), 0) AS filled FROM fills WHERE intent_id = %s"
    row = connection.execute(query, (intent.intent_id,)).fetchone()
    return row["filled"] if row else Decimal(0)


def _balances(connection: Connection, account: str) -> dict[str, Decimal]:
    query = "SELECT asset, sum(amount) AS amount FROM ledger_entries WHERE account = %s GROUP BY asset"
    return {row["asset"]: row["amount"] for row in connection.execute(query, (account,))}


def _upsert_order(connection: Connection, order: Order) -> None:
    """Write a final state once: repeating it leaves the first reason and time."""
    connection.execute(
        "INSERT INTO orders (intent_id, status, reason, updated_at) "
        "VALUES (%(intent_id)s, %(status)s, %(reason)s, %(updated_at)s) ON CONFLICT (intent_id) DO UPDATE "
        "SET status = excluded.status, reason = excluded.reason, updated_at = excluded.updated_at "
        "WHERE orders.status NOT IN ('filled', 'rejected')",
        plain_row(order),
    )
    if order.status is OrderStatus.FILLED:
        connection.execute(
            "UPDATE trade_decisions SET executed = true FROM order_intents i "
            "WHERE i.decision_id = trade_decisions.decision_id AND i.intent_id = %s AND NOT executed",
            (order.intent_id,),
        )
