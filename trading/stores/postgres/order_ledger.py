"""Orders and every change of them, inside the caller's transaction; the caller holds the account's lock.

What may follow is decided in `order_rules`, stored here in one place by compare-and-set, and guarded by triggers.
"""

from datetime import datetime
from decimal import Decimal

import psycopg

from trading.errors import StoreUnreachable
from trading.orders import AT_VENUE, Order, OrderChange, OrderIntent, WorkingOrder, client_order_id
from trading.stores.journal_rules import second_exit_error, unknown_intent_error
from trading.stores.order_rules import to_cancel
from trading.stores.postgres.connection import Connection, insert
from trading.stores.postgres.rows import (
    WORKING_ORDER,
    change_from,
    intent_from,
    intent_row,
    order_from,
    plain_row,
    working_order_from,
)

_CHANGING = (
    "status", "reason", "updated_at", "attempt", "venue_order_id", "sent_at", "void_after", "filled", "cancel_reason",
    "trigger", "working_since", "cause", "changed_at",
)  # fmt: skip
_STORE = (
    f"UPDATE orders SET ({', '.join(_CHANGING)}) = ROW ({', '.join(f'%({name})s' for name in _CHANGING)}), "
    "fence = coalesce(%(fence)s::bigint, fence) "
    "WHERE intent_id = %(intent_id)s AND status = %(known_status)s AND attempt = %(known_attempt)s "
    "AND filled = %(known_filled)s"
)


def insert_order(
    connection: Connection, intent: OrderIntent, order: Order, cause: str, *, asked: bool
) -> None:
    """InvalidValue for a second live exit; the id must be a new one."""
    insert(connection, "order_intents", intent_row(intent, asked))
    place = {"account": intent.account, "pair": str(intent.pair), "kind": intent.kind.value}
    place |= {"client_order_id": client_order_id(intent.intent_id)}
    try:
        insert(
            connection,
            "orders",
            plain_row(order) | place | {"cause": cause, "changed_at": order.updated_at},
        )
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name == "one_live_exit":
            raise second_exit_error(intent) from None
        raise


def is_known(connection: Connection, intent_id: str) -> bool:
    query = "SELECT 1 FROM order_intents WHERE intent_id = %s"
    return connection.execute(query, (intent_id,)).fetchone() is not None


def account_of(connection: Connection, intent_id: str) -> str:
    """Return the order's account, which never changes. NotStored for an unknown intent."""
    query = "SELECT account FROM order_intents WHERE intent_id = %s"
    row = connection.execute(query, (intent_id,)).fetchone()
    if row is None:
        raise unknown_intent_error(intent_id)
    account: str = row["account"]
    return account


def select_working_order(connection: Connection, intent_id: str) -> WorkingOrder | None:
    row = connection.execute(WORKING_ORDER + "WHERE o.intent_id = %s", (intent_id,)).fetchone()
    return working_order_from(row) if row else None


def select_order_at_venue(connection: Connection, account: str, venue_order_id: str) -> WorkingOrder | None:
    row = connection.execute(
        WORKING_ORDER + "WHERE o.account = %s AND o.venue_order_id = %s AND o.venue_order_id <> ''",
        (account, venue_order_id),
    ).fetchone()
    return working_order_from(row) if row else None


def require_working_order(connection: Connection, intent_id: str) -> WorkingOrder:
    found = select_working_order(connection, intent_id)
    if found is None:
        raise unknown_intent_error(intent_id)
    return found


def select_working_orders(connection: Connection, account: str) -> list[WorkingOrder]:
    rows = connection.execute(
        WORKING_ORDER + "WHERE o.account = %s AND o.status IN "
        "('intended', 'sent', 'acknowledged', 'partly filled', 'unknown') ORDER BY i.created_at, i.number",
        (account,),
    )
    return [working_order_from(row) for row in rows]


def select_order(connection: Connection, intent_id: str) -> Order | None:
    row = connection.execute("SELECT * FROM orders WHERE intent_id = %s", (intent_id,)).fetchone()
    return order_from(row) if row else None


def select_changes(connection: Connection, intent_id: str) -> list[OrderChange]:
    query = "SELECT * FROM order_changes WHERE intent_id = %s ORDER BY number"
    return [change_from(row) for row in connection.execute(query, (intent_id,))]


def select_own_intent(connection: Connection, decision_id: str) -> OrderIntent | None:
    query = "SELECT * FROM order_intents WHERE decision_id = %s AND asked"
    row = connection.execute(query, (decision_id,)).fetchone()
    return intent_from(row) if row else None


def count_intents(connection: Connection, account: str, since: datetime) -> int:
    row = connection.execute(
        "SELECT count(*) AS number FROM order_intents WHERE account = %s AND created_at > %s AND kind <> 'stop'",
        (account, since),
    ).fetchone()
    return row["number"] if row else 0


def open_reducing(connection: Connection, intent: OrderIntent) -> Decimal:
    """Return what orders of the pair that close may still execute, this one apart."""
    rows = connection.execute(
        WORKING_ORDER
        + "WHERE o.account = %s AND o.pair = %s AND o.intent_id <> %s AND o.kind IN ('exit', 'stop') "
        "AND o.status = ANY(%s)",
        (intent.account, str(intent.pair), intent.intent_id, [status.value for status in AT_VENUE]),
    )
    return sum((working_order_from(row).remaining for row in rows), Decimal(0))


def store(
    connection: Connection, known: Order, now: Order, cause: str, at: datetime, fence: int | None = None
) -> Order:
    """Compare and set: the one place where an order changes. A trigger keeps the change with its cause."""
    if now == known:
        return known
    row = plain_row(now) | {"cause": cause, "changed_at": at, "fence": fence}
    row |= {"known_status": known.status.value, "known_attempt": known.attempt, "known_filled": known.filled}
    if connection.execute(_STORE, row).rowcount != 1:
        raise StoreUnreachable(
            f"order {known.intent_id} was changed past the account's lock; nothing was kept, and it can be tried again"
        )
    return now


def request_cancel(connection: Connection, intent_id: str, reason: str, at: datetime) -> Order:
    order = require_working_order(connection, intent_id).order
    return store(connection, order, to_cancel(order, reason, at), reason, at)
