"""Books fills: ledger entries, the position they lead to, and what is wrong with the account then.

Inside the caller's transaction; the caller holds the account's lock.
"""

from collections.abc import Sequence
from decimal import Decimal

from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Fill, OrderIntent
from trading.portfolio import Position, after_fill, cash_flows, excess, with_protection
from trading.stores.order_rules import lowered_assets, surprises
from trading.stores.postgres.accounts import select_balances
from trading.stores.postgres.connection import Connection, insert
from trading.stores.postgres.outbox import append_many
from trading.stores.postgres.rows import fill_from, plain_row, position_from


def book(connection: Connection, intent: OrderIntent, fills: Sequence[Fill]) -> list[str]:
    """Book those that are new, publish an alert of each, and say what is wrong with the account then."""
    from trading.bus_messages import fill_alert  # loading the graph must not import msgspec

    known = fills_of(connection, intent.intent_id)
    new: list[Fill] = []
    beyond = Decimal(0)
    for fill in fills:
        if not _insert_fill(connection, fill):
            continue
        _insert_ledger_entries(connection, fill)
        position = select_position(connection, fill.account, fill.pair)
        beyond += excess(position, fill, intent)
        _store_position(connection, position, after_fill(position, fill, intent, [*known, *new]), intent)
        new.append(fill)
    if not new:
        return []
    _mark_executed(connection, intent)
    append_many(connection, [fill_alert(intent, fill) for fill in new])
    filled = sum((fill.quantity for fill in [*known, *new]), Decimal(0))
    balances = select_balances(connection, intent.account)
    return surprises(intent, filled, beyond, balances, lowered_assets(new))


def fills_of(connection: Connection, intent_id: str) -> list[Fill]:
    query = "SELECT * FROM fills WHERE intent_id = %s ORDER BY number"
    return [fill_from(row) for row in connection.execute(query, (intent_id,))]


def select_fills(connection: Connection, account: str, *, of_positions: bool) -> list[Fill]:
    query = (
        "SELECT fills.* FROM fills JOIN order_intents USING (intent_id) WHERE fills.account = %s "
        "AND NOT (%s AND converts) ORDER BY filled_at, fills.number"
    )
    return [fill_from(row) for row in connection.execute(query, (account, of_positions))]


def select_position(connection: Connection, account: str, pair: Pair) -> Position | None:
    query = "SELECT * FROM positions WHERE account = %s AND pair = %s"
    row = connection.execute(query, (account, str(pair))).fetchone()
    return position_from(row) if row else None


def select_positions(connection: Connection, account: str) -> list[Position]:
    rows = connection.execute("SELECT * FROM positions WHERE account = %s ORDER BY pair", (account,))
    return [position_from(row) for row in rows]


def update_protection(connection: Connection, position: Position) -> bool:
    query = "SELECT * FROM positions WHERE account = %s AND pair = %s FOR NO KEY UPDATE"
    row = connection.execute(query, (position.account, str(position.pair))).fetchone()
    stored = position_from(row) if row else None
    if stored is None or (stored.opened_at, stored.quantity) != (position.opened_at, position.quantity):
        return False
    if (changed := with_protection(stored, position)) != stored:
        connection.execute(
            "UPDATE positions SET stop_loss = %(stop_loss)s, take_profit = %(take_profit)s, "
            "trailing_after = %(trailing_after)s, trailing_distance = %(trailing_distance)s, "
            "best_price = %(best_price)s, checked_until = %(checked_until)s, exit_reason = %(exit_reason)s, "
            "stop_since = %(stop_since)s WHERE account = %(account)s AND pair = %(pair)s",
            plain_row(changed),
        )
    return True


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


def _store_position(
    connection: Connection, before: Position | None, now: Position | None, intent: OrderIntent
) -> None:
    """Store what the fill made of it. One that turned is another one: the database lets none change its sign."""
    if now is before:
        return
    stays = before and now and (before.quantity > 0) == (now.quantity > 0)
    if before and not stays:
        key = (before.account, str(before.pair))
        connection.execute("DELETE FROM positions WHERE account = %s AND pair = %s", key)
    if now is None:
        return
    row = plain_row(now) | {"entry_id": intent.intent_id}
    if stays and not intent.reduces:
        connection.execute(
            f"UPDATE positions SET ({', '.join(row)}) = ({', '.join(f'%({name})s' for name in row)}) "
            "WHERE account = %(account)s AND pair = %(pair)s",
            row,
        )
    elif stays:
        connection.execute(
            "UPDATE positions SET quantity = %(quantity)s WHERE account = %(account)s AND pair = %(pair)s",
            row,
        )
    else:
        insert(connection, "positions", row)


def _mark_executed(connection: Connection, intent: OrderIntent) -> None:
    connection.execute(
        "UPDATE trade_decisions SET executed = true FROM order_intents i "
        "WHERE i.decision_id = trade_decisions.decision_id AND i.intent_id = %s AND i.asked AND NOT executed",
        (intent.intent_id,),
    )
