"""The store that survives a restart: one SQLite file, written in one transaction per request or tick."""

import fcntl
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from streaming.sandbox.exchange import records, schema
from streaming.sandbox.exchange.changes import Changes
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.records import (
    AccountRecord,
    ExchangeRecord,
    MarketRecord,
    microseconds,
    print_row,
    text,
    to_json,
)
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import ExchangeOrder
from trading.errors import StoreUnreachable, UnusableHome

TRIM_INTERVAL = 500  # prints
SALT_BYTES = 16
Row = tuple[Any, ...]

INSERT_ORDER = "INSERT OR REPLACE INTO orders (number, opened_at, closed_at, body) VALUES (?, ?, ?, ?)"
INSERT_FILL = "INSERT INTO executions (at, body) VALUES (?, ?)"
INSERT_ENTRY = "INSERT INTO entries (at, body) VALUES (?, ?)"
INSERT_AMEND = "INSERT INTO amends (body) VALUES (?)"
INSERT_PRINT = "INSERT INTO prints VALUES (?, ?, ?, ?, ?, ?, ?)"
# Every tick writes its market: one that is replaced would be written to the table's index as well.
UPSERT_MARKET = "INSERT INTO markets VALUES (?, ?) ON CONFLICT (pair) DO UPDATE SET body = excluded.body"
UPSERT_ACCOUNT = "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET body = excluded.body"
UPSERT_EXCHANGE = "INSERT OR REPLACE INTO exchange VALUES (1, ?)"


class ExchangeStore:
    """One process at a time writes it (UnusableHome for the second); others may read it meanwhile.

    A new one draws the salt of its ids, so that no two exchanges give the same, unless one is given.
    """

    def __init__(self, path: Path, salt: bytes | None = None) -> None:
        self.path = Path(path)
        self._lock = _lock_file(self.path)
        try:
            self._connection = schema.open_store(self.path, salt or secrets.token_bytes(SALT_BYTES))
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    # --- writing -----------------------------------------------------------------------------------------------

    def commit(self, changes: Changes, state: EngineState) -> None:
        """Write all of it or nothing."""
        with self._transaction() as connection:
            connection.executemany(INSERT_ORDER, map(_order_row, changes.orders.values()))
            connection.executemany(
                INSERT_FILL, [(microseconds(each.at), to_json(each)) for each in changes.fills]
            )
            connection.executemany(
                INSERT_ENTRY, [(microseconds(each.at), to_json(each)) for each in changes.entries]
            )
            connection.executemany(INSERT_AMEND, [(to_json(each),) for each in changes.amends])
            connection.executemany(
                UPSERT_ACCOUNT,
                [(name, to_json(_account_record(state.accounts[name]))) for name in changes.accounts],
            )
            connection.executemany(
                UPSERT_MARKET,
                [(pair.key, to_json(_market_record(state.markets[pair]))) for pair in changes.markets],
            )
            connection.execute(UPSERT_EXCHANGE, (to_json(_exchange_record(state)),))
            _write_levels(connection, changes, state)
            _write_prints(connection, changes, state)

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
        """Salt of this exchange's ids."""
        [(salt,)] = self.rows("SELECT salt FROM identity")
        return bytes(salt)

    def exchange(self) -> ExchangeRecord | None:
        """Return the exchange as a whole, None before the first change."""
        found = self.rows("SELECT body FROM exchange")
        return records.read_exchange(found[0][0]) if found else None

    def position(self) -> datetime | None:
        """Return the market time of the newest change, None before the first: where a market clock goes on."""
        found = self.exchange()
        return found.market_at if found else None

    def order(self, account: str, order_id: str) -> ExchangeOrder | None:
        found = self.orders("order_id = ? AND account = ?", order_id, account)
        return found[0] if found else None

    def newest_by_client_id(self, account: str, client_order_id: str) -> ExchangeOrder | None:
        found = self.orders(
            "account = ? AND client_order_id = ? AND client_order_id != '' ORDER BY number DESC LIMIT 1",
            account,
            client_order_id,
        )
        return found[0] if found else None

    def orders(self, where: str, *values: object) -> list[ExchangeOrder]:
        rows = self.rows(f"SELECT body FROM orders WHERE {where}", *values)
        return [records.read_order(body).order for (body,) in rows]


def _order_row(working: WorkingOrder) -> Row:
    order = working.order
    closed_at = microseconds(order.closed_at) if order.closed_at else None
    return working.number, microseconds(order.opened_at), closed_at, to_json(working)


def _account_record(account: ExchangeAccount) -> AccountRecord:
    state = account.state
    return AccountRecord(
        opening=dict(state.opening),
        balances=dict(state.balances),
        realised=dict(state.realised),
        fees=dict(state.fees),
        positions=state.positions,
    )


def _market_record(market: PairMarket) -> MarketRecord:
    return MarketRecord(
        last=market.last,
        at=market.at,
        ticks_at=market.ticks_at,
        last_id=market.tape.last_id,
        taken=market.taken,
        step=market.ladder.step,
    )


def _exchange_record(state: EngineState) -> ExchangeRecord:
    return ExchangeRecord(
        market_at=state.now(),
        counters=state.ids.counters,
        market_maker=state.market_maker,
        fees=state.fees,
        switches=state.switches,
        system_status=state.system_status,
        statuses={pair.key: status for pair, status in state.statuses.items()},
    )


def _write_levels(connection: sqlite3.Connection, changes: Changes, state: EngineState) -> None:
    """Store only prices at which an order waits."""
    for pair, side, price in changes.levels:
        key = (pair.key, side.value, text(price))
        level = state.markets[pair].queues[side].at(price)
        if level is None:
            connection.execute("DELETE FROM levels WHERE pair = ? AND side = ? AND price = ?", key)
        else:
            connection.execute(
                "INSERT OR REPLACE INTO levels VALUES (?, ?, ?, ?)", (*key, text(level.traded_ahead))
            )


def _write_prints(connection: sqlite3.Connection, changes: Changes, state: EngineState) -> None:
    """Store prints as long as the tape keeps them: the source does not have those of clients."""
    for pair, prints in changes.prints.items():
        connection.executemany(INSERT_PRINT, [print_row(each) for each in prints])
        newest = prints[-1].trade_id
        if newest // TRIM_INTERVAL > (prints[0].trade_id - 1) // TRIM_INTERVAL:
            oldest = newest - state.markets[pair].tape.capacity
            connection.execute("DELETE FROM prints WHERE pair = ? AND trade_id <= ?", (pair.key, oldest))


def _lock_file(path: Path) -> IO[bytes]:
    """Lock the store; the system releases the lock when the process ends, however it ends."""
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
