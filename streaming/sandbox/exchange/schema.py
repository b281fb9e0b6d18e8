"""The tables of the exchange's store, and how its file is opened."""

import sqlite3
from pathlib import Path

from streaming.sandbox.exchange.rows import ENTRY_COLUMNS, EXECUTION_COLUMNS, ORDER_COLUMNS, PRINT_COLUMNS
from trading.errors import UnreadableFile, UnusableHome

VERSION = 2
CHECKPOINT_PAGES = 8000  # 32 MB: each checkpoint waits for the disk
BUSY_SECONDS = 10.0  # another connection may be writing keys to the same file


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(names)


TABLES = f"""
CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL);
CREATE TABLE accounts (account TEXT PRIMARY KEY, opened_at INTEGER NOT NULL);
CREATE TABLE balances (
    account TEXT NOT NULL, asset TEXT NOT NULL, opening TEXT NOT NULL, amount TEXT NOT NULL, realised TEXT NOT NULL,
    fees TEXT NOT NULL, PRIMARY KEY (account, asset)
) WITHOUT ROWID;
CREATE TABLE positions (
    account TEXT NOT NULL, place INTEGER NOT NULL, pair TEXT NOT NULL, quantity TEXT NOT NULL,
    entry_price TEXT NOT NULL, leverage TEXT NOT NULL, opened_at INTEGER NOT NULL, rolled INTEGER NOT NULL,
    PRIMARY KEY (account, place)
) WITHOUT ROWID;
CREATE TABLE orders (number INTEGER PRIMARY KEY, {_columns(ORDER_COLUMNS[1:])});
CREATE UNIQUE INDEX orders_by_id ON orders (order_id);
CREATE INDEX orders_in_force ON orders (number) WHERE state IN ('pending', 'open');
CREATE INDEX orders_closed ON orders (account, closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX orders_by_client_id ON orders (account, client_order_id) WHERE client_order_id != '';
CREATE TABLE executions (number INTEGER PRIMARY KEY, {_columns(EXECUTION_COLUMNS)});
CREATE INDEX executions_by_account ON executions (account, at);
CREATE INDEX executions_by_order ON executions (order_id);
CREATE INDEX executions_by_id ON executions (execution_id);
CREATE TABLE entries (number INTEGER PRIMARY KEY, {_columns(ENTRY_COLUMNS)});
CREATE TABLE house (asset TEXT PRIMARY KEY, market_maker TEXT NOT NULL, fees TEXT NOT NULL);
CREATE TABLE markets (
    pair TEXT PRIMARY KEY, last TEXT, at INTEGER, ticks_at INTEGER NOT NULL, last_id INTEGER NOT NULL,
    taken TEXT NOT NULL, step INTEGER NOT NULL
);
CREATE TABLE prints ({_columns(PRINT_COLUMNS)}, PRIMARY KEY (pair, trade_id)) WITHOUT ROWID;
CREATE TABLE levels (
    pair TEXT NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL, passed TEXT NOT NULL, PRIMARY KEY (pair, side, price)
) WITHOUT ROWID;
CREATE TABLE switches (account TEXT PRIMARY KEY, due REAL NOT NULL);
CREATE TABLE statuses (pair TEXT PRIMARY KEY, status TEXT NOT NULL);
CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1), orders INTEGER NOT NULL, executions INTEGER NOT NULL,
    priorities INTEGER NOT NULL, market_at INTEGER NOT NULL
);
"""


def opened(path: Path, salt: bytes) -> sqlite3.Connection:
    """With all tables there; `salt` is what a new store keeps for its ids.

    UnreadableFile when the file is something else, UnusableHome when it cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.OperationalError) as error:
        raise UnusableHome(f"the sandbox's store {path} cannot be opened: {error}") from error
    try:
        _prepare(connection, path, salt)
    except sqlite3.OperationalError as error:
        connection.close()
        raise UnusableHome(f"the sandbox's store {path} cannot be written: {error}") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise UnreadableFile(
            f"{path} is no store of the sandbox exchange ({error}): name another file"
        ) from error
    except UnreadableFile:
        connection.close()
        raise
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Beside the process that writes. UnreadableFile when there is no store."""
    if not path.is_file():
        raise UnreadableFile(f"{path} does not exist: start the sandbox once, or name its store")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    try:
        _check_version(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise UnreadableFile(f"{path} is no store of the sandbox exchange: {error}") from error
    except UnreadableFile:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, salt: bytes) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # what is committed survives a kill of the process
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    if not _tables(connection):
        connection.executescript(f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version = {VERSION};COMMIT;")
    _check_version(connection, path)
    connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (salt,))


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION or not _tables(connection):
        raise UnreadableFile(
            f"{path} is no store of this version of the sandbox exchange ({version}, not {VERSION}): "
            "name another file, or move it aside with --fresh"
        )


def _tables(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'counters'")
    return found.fetchone() is not None
