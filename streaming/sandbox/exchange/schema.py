"""The tables of the exchange's store, and how its file is opened."""

import sqlite3
from pathlib import Path

from trading.errors import UnreadableFile, UnusableHome

VERSION = 4
CHECKPOINT_PAGES = 8000  # 32 MB: each checkpoint waits for the disk
BUSY_SECONDS = 10.0  # another connection may be writing keys to the same file


def _field(path: str, kind: str = "TEXT") -> str:
    """Declare a column that is read from the row's JSON body instead of being stored."""
    return f"{path.rpartition('.')[2]} {kind} AS (json_extract(body, '$.{path}'))"


# A body is the JSON of a class of `records`. Times to search by are microseconds since 1970.
TABLES = f"""
CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL);
CREATE TABLE exchange (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
CREATE TABLE accounts (account TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, opened_at INTEGER NOT NULL, closed_at INTEGER, body TEXT NOT NULL,
    {_field("order.order_id")}, {_field("order.account")},
    {_field("order.request.client_order_id")}, {_field("order.request.user_reference", "INTEGER")}
);
CREATE UNIQUE INDEX orders_by_id ON orders (order_id);
CREATE INDEX orders_in_force ON orders (number) WHERE closed_at IS NULL;
CREATE INDEX orders_closed ON orders (account, closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX orders_by_client_id ON orders (account, client_order_id) WHERE client_order_id != '';
CREATE TABLE executions (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL,
    {_field("execution_id")}, {_field("order_id")}, {_field("account")}, {_field("leverage", "INTEGER")},
    {_field("margin")}, {_field("cost")}
);
CREATE INDEX executions_by_account ON executions (account, at);
CREATE INDEX executions_by_order ON executions (order_id);
CREATE INDEX executions_by_id ON executions (execution_id);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL,
    {_field("entry_id")}, {_field("account")}, {_field("asset")}, {_field("kind")}
);
CREATE INDEX entries_by_account ON entries (account, at);
CREATE INDEX entries_by_id ON entries (entry_id);
CREATE TABLE amends (number INTEGER PRIMARY KEY, body TEXT NOT NULL, {_field("order_id")}, {_field("account")});
CREATE INDEX amends_by_order ON amends (order_id);
CREATE TABLE markets (pair TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE prints (
    pair TEXT, trade_id INTEGER, price TEXT, quantity TEXT, side TEXT, order_type TEXT, at INTEGER,
    PRIMARY KEY (pair, trade_id)
) WITHOUT ROWID;
CREATE TABLE levels (
    pair TEXT NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL, passed TEXT NOT NULL, PRIMARY KEY (pair, side, price)
) WITHOUT ROWID;
"""


def open_store(path: Path, salt: bytes) -> sqlite3.Connection:
    """Open the store, with all tables there; `salt` is what a new store keeps for its ids.

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


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open the store beside the process that writes. UnreadableFile when there is no store."""
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
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'accounts'")
    return found.fetchone() is not None
