"""Decisions, orders and money in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent
from trading.portfolio import Position
from trading.risk import Halt, Resume
from trading.stores.journal_rules import (
    MIN_PREFIX,
    check_decision,
    check_equity,
    check_opening,
    check_opinions,
    check_resume,
    only_match,
    parse_snapshot,
    snapshot_json,
    unknown_account_error,
    utc_day,
)
from trading.stores.postgres.booking import book
from trading.stores.postgres.connection import Connection, Database, insert
from trading.stores.postgres.halts import end_pause, insert_halts, raise_peak, select_halts, select_peak
from trading.stores.postgres.rows import (
    decision_row,
    fill_from,
    intent_from,
    opinion_rows,
    order_from,
    plain_row,
    position_from,
    receipt_from,
)


class PostgresJournal:
    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def open_account(self, account: str, balances: Mapping[str, Decimal], at: datetime) -> None:
        check_opening(account, balances)
        with self._database.transaction() as connection:
            row = {"account": account, "opened_at": at}
            if insert(connection, "accounts", row, "ON CONFLICT DO NOTHING"):
                for asset, amount in balances.items():
                    entry = {"account": account, "asset": asset, "amount": amount, "entered_at": at}
                    insert(connection, "ledger_entries", entry)

    def balances(self, account: str, until: datetime | None = None) -> dict[str, Decimal]:
        with self._database.transaction() as connection:
            if _fetch_one(connection, "SELECT 1 FROM accounts WHERE account = %s", account) is None:
                raise unknown_account_error(account)
            rows = _fetch_all(
                connection,
                "SELECT asset, sum(amount) AS amount FROM ledger_entries "
                "WHERE account = %s AND entered_at <= coalesce(%s, 'infinity'::timestamptz) "
                "GROUP BY asset ORDER BY asset",
                account,
                until,
            )
        return {row["asset"]: row["amount"] for row in rows}

    def record_decision(self, receipt: Mapping[str, Any], intent: OrderIntent | None) -> bool:
        check_decision(receipt, intent)
        check_opinions(receipt)
        with self._database.transaction() as connection:
            if not insert(
                connection, "trade_decisions", decision_row(receipt, intent), "ON CONFLICT DO NOTHING"
            ):
                return False
            for row in opinion_rows(receipt):
                insert(connection, "agent_opinions", row)
            if intent is not None:
                insert(connection, "order_intents", plain_row(intent))
        return True

    def decision(self, decision_id: str) -> dict[str, Any]:
        with self._database.transaction() as connection:
            exact = _fetch_all(
                connection,
                "SELECT decision_id, receipt::text FROM trade_decisions WHERE decision_id = %s",
                decision_id,
            )
            found = exact or self._with_prefix(connection, decision_id)
        only_match(decision_id, [row["decision_id"] for row in found])
        return receipt_from(found[0])

    def _with_prefix(self, connection: Connection, prefix: str) -> list[dict[str, Any]]:
        if len(prefix) < MIN_PREFIX:
            return []
        query = "SELECT decision_id, receipt::text FROM trade_decisions WHERE decision_id ^@ %s LIMIT 2"
        return _fetch_all(connection, query, prefix)

    def decisions(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        with self._database.transaction() as connection:
            rows = _fetch_all(
                connection,
                "SELECT receipt::text FROM trade_decisions WHERE account = %s "
                "ORDER BY decided_at DESC, number DESC LIMIT %s",
                account,
                limit,
            )
        return [receipt_from(row) for row in rows]

    def intent(self, decision_id: str) -> OrderIntent | None:
        with self._database.transaction() as connection:
            row = _fetch_one(connection, "SELECT * FROM order_intents WHERE decision_id = %s", decision_id)
        return intent_from(row) if row else None

    def unsettled(self, account: str) -> list[OrderIntent]:
        with self._database.transaction() as connection:
            rows = _fetch_all(
                connection,
                "SELECT i.* FROM order_intents i LEFT JOIN orders o USING (intent_id) WHERE i.account = %s "
                "AND (o.status IS NULL OR o.status NOT IN ('filled', 'rejected')) "
                "ORDER BY i.created_at, i.number",
                account,
            )
        return [intent_from(row) for row in rows]

    def intents_since(self, account: str, since: datetime) -> int:
        query = "SELECT count(*) AS number FROM order_intents WHERE account = %s AND created_at > %s"
        with self._database.transaction() as connection:
            row = _fetch_one(connection, query, account, since)
        return row["number"] if row else 0

    def record_order(self, order: Order, fills: Sequence[Fill]) -> None:
        with self._database.transaction() as connection:
            book(connection, self._lock_intent(connection, order.intent_id), order, fills)

    def _lock_intent(self, connection: Connection, intent_id: str) -> OrderIntent:
        """Lock the account's row: whatever changes its balances waits here for its turn."""
        row = _fetch_one(connection, "SELECT * FROM order_intents WHERE intent_id = %s", intent_id)
        if row is None:
            raise NotStored(f"no intent {intent_id}: record the decision with its intent first")
        locked = _fetch_one(
            connection, "SELECT 1 FROM accounts WHERE account = %s FOR NO KEY UPDATE", row["account"]
        )
        if locked is None:
            raise NotStored(f"no account {row['account']}: open it before its first order")
        return intent_from(row)

    def order(self, intent_id: str) -> Order | None:
        with self._database.transaction() as connection:
            row = _fetch_one(connection, "SELECT * FROM orders WHERE intent_id = %s", intent_id)
        return order_from(row) if row else None

    def fills(self, account: str) -> list[Fill]:
        with self._database.transaction() as connection:
            query = "SELECT * FROM fills WHERE account = %s ORDER BY filled_at, number"
            rows = _fetch_all(connection, query, account)
        return [fill_from(row) for row in rows]

    def position(self, account: str, pair: Pair) -> Position | None:
        return next((each for each in self.positions(account) if each.pair == pair), None)

    def positions(self, account: str) -> list[Position]:
        with self._database.transaction() as connection:
            rows = _fetch_all(connection, "SELECT * FROM positions WHERE account = %s ORDER BY pair", account)
        return [position_from(row) for row in rows]

    def opened_at(self, account: str) -> datetime:
        with self._database.transaction() as connection:
            row = _fetch_one(connection, "SELECT opened_at FROM accounts WHERE account = %s", account)
        if row is None:
            raise unknown_account_error(account)
        opened: datetime = row["opened_at"].astimezone(UTC)
        return opened

    def save_snapshot(self, account: str, at: datetime, snapshot: Mapping[str, Any]) -> None:
        text = snapshot_json(snapshot)
        balances = snapshot_json({"equity": 0, "balances": snapshot["balances"]})
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO portfolio_snapshots (account, day, at, equity, balances, snapshot) "
                "VALUES (%s, %s, %s, %s, %s::json -> 'balances', %s) ON CONFLICT (account, day, at) DO UPDATE "
                "SET equity = excluded.equity, balances = excluded.balances, snapshot = excluded.snapshot",
                (account, utc_day(at), at, Decimal(snapshot["equity"]), balances, text),
            )

    def snapshots(self, account: str) -> list[dict[str, Any]]:
        """Look up the newest of each day from the first day to the last: the rows of a day may be thousands."""
        return self._snapshots(
            "SELECT newest.day, newest.snapshot::text "
            "FROM (SELECT min(day) AS first, max(day) AS last FROM portfolio_snapshots WHERE account = %s) span, "
            "generate_series(span.first, span.last, interval '1 day') AS each, LATERAL (SELECT day, snapshot "
            "FROM portfolio_snapshots WHERE account = %s AND day = each::date ORDER BY at DESC LIMIT 1) newest "
            "ORDER BY newest.day",
            account,
            account,
        )

    def snapshots_since(self, account: str, since: datetime) -> list[dict[str, Any]]:
        return self._snapshots(
            "SELECT day, snapshot::text FROM portfolio_snapshots "
            "WHERE account = %s AND day >= %s AND at >= %s ORDER BY day, at",
            account,
            utc_day(since),
            since,
        )

    def _snapshots(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._database.transaction() as connection:
            rows = _fetch_all(connection, query, *values)
        return [parse_snapshot(row["day"], row["snapshot"]) for row in rows]

    def raise_peak(self, account: str, equity: Decimal) -> Decimal:
        check_equity(account, equity)
        with self._database.transaction() as connection:
            return raise_peak(connection, account, equity)

    def peak(self, account: str) -> Decimal | None:
        with self._database.transaction() as connection:
            return select_peak(connection, account)

    def begin_halts(self, account: str, halts: Sequence[Halt]) -> None:
        with self._database.transaction() as connection:
            insert_halts(connection, account, halts)

    def halts(self, account: str) -> list[Halt]:
        with self._database.transaction() as connection:
            return select_halts(connection, account)

    def resume(self, account: str, resume: Resume, equity: Decimal) -> Halt:
        check_resume(resume)
        check_equity(account, equity)
        with self._database.transaction() as connection:
            return end_pause(connection, account, resume, equity)


def _fetch_one(connection: Connection, query: str, *values: Any) -> dict[str, Any] | None:
    return connection.execute(query, values).fetchone()


def _fetch_all(connection: Connection, query: str, *values: Any) -> list[dict[str, Any]]:
    return connection.execute(query, values).fetchall()
