"""What survives a restart: one SQLite file, written in one transaction per request or tick."""

import fcntl
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from streaming.sandbox.exchange import schema
from streaming.sandbox.exchange.changes import Changes
from streaming.sandbox.exchange.floor import Floor
from streaming.sandbox.exchange.ledger import Account
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.rows import (
    ENTRY_COLUMNS,
    EXECUTION_COLUMNS,
    ORDER_COLUMNS,
    entry_row,
    execution_of,
    execution_row,
    microseconds,
    order_row,
    print_row,
    text,
    time_of,
    working_of,
)
from streaming.sandbox.model import Execution, Order
from trading.errors import StoreUnreachable, UnusableHome

ZERO = Decimal(0)
KEPT_PRINTS = 2000  # per pair; older ones come back from the market's source after a restart
TRIMMED_EVERY = 500
WHOLE_EXCHANGE = ""  # among the pairs of `statuses`
Row = tuple[Any, ...]


def _insert(table: str, columns: int, verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} VALUES ({', '.join('?' * columns)})"


UPSERT_ORDER = _insert("orders", len(ORDER_COLUMNS), "INSERT OR REPLACE")
INSERT_EXECUTION = _insert("executions", len(EXECUTION_COLUMNS) + 1)
INSERT_ENTRY = _insert("entries", len(ENTRY_COLUMNS) + 1)
INSERT_PRINT = _insert("prints", 7)


class ExchangeStore:
    """One process at a time writes it (UnusableHome for the second); others may read it meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = _locked(self.path)
        try:
            self._connection = schema.opened(self.path)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    # --- writing -----------------------------------------------------------------------------------------------

    def commit(self, changes: Changes, floor: Floor) -> None:
        """All of it or nothing."""
        with self._transaction() as connection:
            if changes.orders:
                connection.executemany(UPSERT_ORDER, [order_row(each) for each in changes.orders.values()])
            if changes.executions:
                _write_executions(connection, changes, floor)
            if changes.entries:
                connection.executemany(INSERT_ENTRY, [(None, *entry_row(each)) for each in changes.entries])
            for name in changes.accounts:
                _write_account(connection, floor.accounts[name], floor.now())
            _write_levels(connection, changes, floor)
            for pair in changes.markets:
                _write_market(connection, floor.markets[pair])
            _write_prints(connection, changes)
            _write_standing(connection, changes, floor)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StoreUnreachable(
                    f"{self.path} took no change: {error}; nothing has happened"
                ) from error
            raise

    # --- reading -----------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[Row]:
        return self._connection.execute(query, values).fetchall()

    def position(self) -> datetime | None:
        """Market time of the newest change, None before the first: where a market clock goes on."""
        found = self.rows("SELECT market_at FROM counters")
        return time_of(found[0][0]) if found else None

    def order(self, account: str, order_id: str) -> Order | None:
        found = self.rows("SELECT * FROM orders WHERE order_id = ? AND account = ?", order_id, account)
        return working_of(found[0]).order if found else None

    def newest_by_client_id(self, account: str, client_order_id: str) -> Order | None:
        found = self.rows(
            "SELECT * FROM orders WHERE account = ? AND client_order_id = ? AND client_order_id != '' "
            "ORDER BY number DESC LIMIT 1",
            account,
            client_order_id,
        )
        return working_of(found[0]).order if found else None

    def closed_orders(
        self, account: str, start: datetime | None, end: datetime | None, offset: int, limit: int
    ) -> tuple[list[Order], int]:
        """Newest end first, and how many there are; start < closed_at <= end."""
        where, values = _between("closed_at", account, start, end)
        rows = self.rows(
            f"SELECT * FROM orders WHERE {where} ORDER BY closed_at DESC, number DESC LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        [(count,)] = self.rows(f"SELECT COUNT(*) FROM orders WHERE {where}", *values)
        return [working_of(row).order for row in rows], count

    def executions(
        self, account: str, start: datetime | None, end: datetime | None, offset: int, limit: int
    ) -> tuple[list[Execution], int]:
        """Newest first, and how many there are; start < at <= end."""
        where, values = _between("at", account, start, end)
        rows = self.rows(
            f"SELECT * FROM executions WHERE {where} ORDER BY at DESC, number DESC LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        [(count,)] = self.rows(f"SELECT COUNT(*) FROM executions WHERE {where}", *values)
        return [execution_of(row[1:]) for row in rows], count

    def executions_of(self, order_id: str) -> list[Execution]:
        """Oldest first."""
        rows = self.rows("SELECT * FROM executions WHERE order_id = ? ORDER BY number", order_id)
        return [execution_of(row[1:]) for row in rows]


def _between(
    column: str, account: str, start: datetime | None, end: datetime | None
) -> tuple[str, list[object]]:
    where, values = f"account = ? AND {column} IS NOT NULL", [account]
    bounds: list[object] = list(values)
    for sign, bound in ((">", start), ("<=", end)):
        if bound is not None:
            where += f" AND {column} {sign} ?"
            bounds.append(microseconds(bound))
    return where, bounds


def _write_executions(connection: sqlite3.Connection, changes: Changes, floor: Floor) -> None:
    first = floor.counters.executions - len(changes.executions)
    numbered = enumerate(changes.executions, first + 1)
    connection.executemany(INSERT_EXECUTION, [(number, *execution_row(each)) for number, each in numbered])


def _write_account(connection: sqlite3.Connection, account: Account, at: datetime) -> None:
    name, state = account.name, account.state
    connection.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?)", (name, microseconds(at)))
    zero = "0"
    connection.executemany(
        "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                name,
                asset,
                *(
                    text(amounts[asset]) if asset in amounts else zero
                    for amounts in (state.opening, state.balances, state.realised, state.fees)
                ),
            )
            for asset in {**state.balances, **state.fees}
        ],
    )
    connection.execute("DELETE FROM positions WHERE account = ?", (name,))
    if not state.positions:
        return
    connection.executemany(
        "INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                name,
                place,
                each.pair.key,
                text(each.quantity),
                text(each.entry_price),
                text(each.leverage),
                microseconds(each.opened_at),
                each.rolled,
            )
            for place, each in enumerate(state.positions)
        ],
    )


def _write_levels(connection: sqlite3.Connection, changes: Changes, floor: Floor) -> None:
    """Only prices at which somebody waits are kept."""
    for pair, side, price in changes.levels:
        key = (pair.key, side.value, text(price))
        level = floor.markets[pair].queues[side].at(price)
        if level is None:
            connection.execute("DELETE FROM levels WHERE pair = ? AND side = ? AND price = ?", key)
        else:
            connection.execute(
                "INSERT OR REPLACE INTO levels VALUES (?, ?, ?, ?)", (*key, text(level.passed))
            )


def _write_market(connection: sqlite3.Connection, market: PairMarket) -> None:
    taken = [(side.value, text(limit), text(quantity)) for side, limit, quantity in market.taken]
    connection.execute(
        "INSERT OR REPLACE INTO markets VALUES (?, ?, ?, ?, ?, ?)",
        (
            market.pair.key,
            text(market.last) if market.last is not None else None,
            microseconds(market.at) if market.at is not None else None,
            market.ticks_at,
            market.tape.last_id,
            json.dumps(taken),
        ),
    )


def _write_prints(connection: sqlite3.Connection, changes: Changes) -> None:
    for pair, prints in changes.prints.items():
        connection.executemany(INSERT_PRINT, [print_row(each) for each in prints])
        newest = prints[-1].trade_id
        if newest // TRIMMED_EVERY > (prints[0].trade_id - 1) // TRIMMED_EVERY:
            oldest = newest - KEPT_PRINTS
            connection.execute("DELETE FROM prints WHERE pair = ? AND trade_id <= ?", (pair.key, oldest))


def _write_standing(connection: sqlite3.Connection, changes: Changes, floor: Floor) -> None:
    for account, due in changes.switches.items():
        connection.execute("DELETE FROM switches WHERE account = ?", (account,))
        if due is not None:
            connection.execute("INSERT INTO switches VALUES (?, ?)", (account, due))
    for pair, status in changes.statuses.items():
        row = (pair.key if pair else WHOLE_EXCHANGE, status.value)
        connection.execute("INSERT OR REPLACE INTO statuses VALUES (?, ?)", row)
    if changes.house:
        connection.executemany(
            "INSERT OR REPLACE INTO house VALUES (?, ?, ?)",
            [
                (asset, text(floor.market_maker.get(asset, ZERO)), text(floor.fees.get(asset, ZERO)))
                for asset in {**floor.market_maker, **floor.fees}
            ],
        )
    counters = floor.counters
    connection.execute(
        "INSERT OR REPLACE INTO counters VALUES (1, ?, ?, ?, ?)",
        (counters.orders, counters.executions, counters.priorities, microseconds(floor.now())),
    )


def _locked(path: Path) -> IO[bytes]:
    """Let go of by the system when the process ends, however it ends."""
    name = path.with_name(path.name + ".lock")
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        lock = name.open("ab")
    except OSError as error:
        raise UnusableHome(f"the sandbox's store {path} cannot be opened: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UnusableHome(
            f"another sandbox has the store {path} open: stop it, or name another store for this one"
        ) from None
    return lock
