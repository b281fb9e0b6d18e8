"""What survives a restart: one SQLite file, written in one transaction per request or tick."""

import fcntl
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from streaming.sandbox.exchange import schema
from streaming.sandbox.exchange.changes import Changes
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.rows import (
    ENTRY_COLUMNS,
    EXECUTION_COLUMNS,
    ORDER_COLUMNS,
    entry_row,
    execution_row,
    microseconds,
    order_row,
    print_row,
    text,
    time_of,
    working_of,
)
from streaming.sandbox.model import ExchangeOrder
from trading.errors import StoreUnreachable, UnusableHome

ZERO = Decimal(0)
TRIMMED_EVERY = 500  # prints
SALT_BYTES = 16
WHOLE_EXCHANGE = ""  # among the pairs of `statuses`
Row = tuple[Any, ...]


def _insert(table: str, columns: int, verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} VALUES ({', '.join('?' * columns)})"


UPSERT_ORDER = _insert("orders", len(ORDER_COLUMNS), "INSERT OR REPLACE")
INSERT_EXECUTION = _insert("executions", len(EXECUTION_COLUMNS) + 1)
INSERT_ENTRY = _insert("entries", len(ENTRY_COLUMNS) + 1)
INSERT_PRINT = _insert("prints", 7)
# Every tick writes its market: one that is replaced would be written to the table's index as well.
UPSERT_MARKET = _insert("markets", 7) + (
    " ON CONFLICT (pair) DO UPDATE SET last = excluded.last, at = excluded.at, ticks_at = excluded.ticks_at, "
    "last_id = excluded.last_id, taken = excluded.taken, step = excluded.step"
)


class ExchangeStore:
    """One process at a time writes it (UnusableHome for the second); others may read it meanwhile.

    A new one draws the salt of its ids, so that no two exchanges give the same, unless one is given.
    """

    def __init__(self, path: Path, salt: bytes | None = None) -> None:
        self.path = Path(path)
        self._lock = _locked(self.path)
        try:
            self._connection = schema.opened(self.path, salt or secrets.token_bytes(SALT_BYTES))
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    # --- writing -----------------------------------------------------------------------------------------------

    def commit(self, changes: Changes, floor: EngineState) -> None:
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
            _write_prints(connection, changes, floor)
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

    @property
    def salt(self) -> bytes:
        """Of this exchange's ids."""
        [(salt,)] = self.rows("SELECT salt FROM identity")
        return bytes(salt)

    def position(self) -> datetime | None:
        """Market time of the newest change, None before the first: where a market clock goes on."""
        found = self.rows("SELECT market_at FROM counters")
        return time_of(found[0][0]) if found else None

    def order(self, account: str, order_id: str) -> ExchangeOrder | None:
        found = self.rows("SELECT * FROM orders WHERE order_id = ? AND account = ?", order_id, account)
        return working_of(found[0]).order if found else None

    def newest_by_client_id(self, account: str, client_order_id: str) -> ExchangeOrder | None:
        found = self.rows(
            "SELECT * FROM orders WHERE account = ? AND client_order_id = ? AND client_order_id != '' "
            "ORDER BY number DESC LIMIT 1",
            account,
            client_order_id,
        )
        return working_of(found[0]).order if found else None


def _write_executions(connection: sqlite3.Connection, changes: Changes, floor: EngineState) -> None:
    first = floor.counters.executions - len(changes.executions)
    numbered = enumerate(changes.executions, first + 1)
    connection.executemany(INSERT_EXECUTION, [(number, *execution_row(each)) for number, each in numbered])


def _write_account(connection: sqlite3.Connection, account: ExchangeAccount, at: datetime) -> None:
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


def _write_levels(connection: sqlite3.Connection, changes: Changes, floor: EngineState) -> None:
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
    taken = {side.value: text(quantity) for side, quantity in market.taken.items()}
    connection.execute(
        UPSERT_MARKET,
        (
            market.pair.key,
            text(market.last) if market.last is not None else None,
            microseconds(market.at) if market.at is not None else None,
            market.ticks_at,
            market.tape.last_id,
            json.dumps(taken) if taken else "{}",
            market.ladder.step,
        ),
    )


def _write_prints(connection: sqlite3.Connection, changes: Changes, floor: EngineState) -> None:
    """As long as the tape keeps them: the source cannot tell them again, where clients have traded as well."""
    for pair, prints in changes.prints.items():
        connection.executemany(INSERT_PRINT, [print_row(each) for each in prints])
        newest = prints[-1].trade_id
        if newest // TRIMMED_EVERY > (prints[0].trade_id - 1) // TRIMMED_EVERY:
            oldest = newest - floor.markets[pair].tape.capacity
            connection.execute("DELETE FROM prints WHERE pair = ? AND trade_id <= ?", (pair.key, oldest))


def _write_standing(connection: sqlite3.Connection, changes: Changes, floor: EngineState) -> None:
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
