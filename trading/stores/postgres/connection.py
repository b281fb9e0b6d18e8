"""One connection per store, opened when it is first needed and again after the server has been away."""

import os
import select
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from trading.errors import InvalidSettings, InvalidValue, NotStored, StoreUnreachable

Connection = psycopg.Connection[dict[str, Any]]

CONNECT_SECONDS = 10
LOCK_SECONDS = 10  # that one process waits for another's transaction, before it says so
# The server ends a transaction in which nothing happens for this long: its holder is stuck or gone.
IDLE_SECONDS = 60


class Database:
    """Hands out transactions. Threads take turns; a forked process opens its own connection."""

    def __init__(self, dsn: str, durable: bool = True, options: str = "") -> None:
        """Without `durable` a commit does not wait for the disk; a crash of the server may undo the newest ones.

        `options` are settings of the session, as PostgreSQL's own command line takes them.
        """
        durability = "" if durable else "-c synchronous_commit=off"
        self.conninfo, self.address = _parse_dsn(dsn, f"{options} {durability}".strip())
        self._lock = threading.RLock()
        self._cached: Connection | None = None
        self._depth = 0
        self._process = os.getpid()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Begin a transaction: commits when the block ends, rolls back when it raises; a savepoint inside another.

        Raises StoreUnreachable when the server is or goes away, InvalidValue when it cannot hold a value.
        """
        with self._lock, translate_errors(self.address), self._connection().transaction() as transaction:
            self._depth += 1
            try:
                yield transaction.connection
            finally:
                self._depth -= 1

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Hand out the connection for statements that only read: no BEGIN, COMMIT or savepoint around them.

        Each sees what was committed before it, as in a `transaction`, whose part they are inside one of this thread.
        Raises as `transaction` does.
        """
        with self._lock, translate_errors(self.address):
            yield self._connection()

    @contextmanager
    def pipeline(self) -> Iterator[Connection]:
        """Send statements that wait for no other's result; reading rows does. They are one transaction.

        An error of one may come from a later one; those behind it are not run. Raises as `transaction` does.
        """
        with self.reading() as connection, connection.pipeline() as pipeline:
            try:
                yield connection
            except Exception:
                with suppress(psycopg.Error):
                    pipeline.sync()  # what else was sent fails or is not run: psycopg would warn a person of it
                raise

    def execute(self, statement: LiteralString, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run one statement that commits by itself, in one round trip, and return its rows.

        Only for a statement that may be done twice: after a lost connection it runs again on a new one. Raises as
        `transaction` does.
        """
        with self._lock, translate_errors(self.address):
            if self._cached is not None and self._process == os.getpid() and not self._cached.closed:
                try:
                    return _rows(self._cached.execute(statement, values))
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    with suppress(psycopg.Error):
                        self._cached.close()
            return _rows(self._connection().execute(statement, values))

    def connect_unshared(self) -> psycopg.Connection[Any]:
        """Open a plain connection that the caller closes."""
        return psycopg.connect(self.conninfo)

    def close(self) -> None:
        """Close its connection; the next use opens another one."""
        with self._lock:
            if self._cached is not None and self._process == os.getpid():
                self._cached.close()

    def _connection(self) -> Connection:
        """Return the open one. A transaction never goes on in another one: what it has locked is not locked there."""
        if self._depth > 0 and self._process == os.getpid():
            assert self._cached is not None
            return self._cached
        if self._cached is None or self._process != os.getpid() or not _is_alive(self._cached):
            self._process, self._depth = os.getpid(), 0
            self._cached = connect(with_time_limits(self.conninfo))
            weakref.finalize(self, _close, self._cached, self._process)
        return self._cached


def connect(conninfo: str) -> Connection:
    """Open a connection, or raise psycopg.OperationalError; a caller outside this package wants a Database."""
    return psycopg.Connection[dict[str, Any]].connect(conninfo, autocommit=True, row_factory=dict_row)


def with_time_limits(conninfo: str, more: str = "") -> str:
    """Let nobody wait for ever for a transaction that does not end. What the address itself says wins."""
    limits = f"-c lock_timeout={LOCK_SECONDS}s -c idle_in_transaction_session_timeout={IDLE_SECONDS}s {more}"
    return make_conninfo(conninfo, options=f"{limits} {conninfo_to_dict(conninfo).get('options') or ''}")


@contextmanager
def translate_errors(address: str) -> Iterator[None]:
    """Translate psycopg's errors. The text holds no password: the address is host, port and database alone."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise NotStored(
            f"PostgreSQL at {address} has no Marketloom tables ({_first_line(error)}): "
            "start through `marketloom dev` or `marketloom demo`, which create them"
        ) from None
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise InvalidValue(f"PostgreSQL refuses the value: {_first_line(error)}; nothing was kept") from None
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnreachable(
            f"another process holds what this one needs in PostgreSQL at {address} ({_first_line(error)}): nothing was "
            "kept, and it can be tried again"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
        raise StoreUnreachable(
            f"PostgreSQL does not answer at {address}: {_first_line(error)}; "
            "nothing committed is lost; run `marketloom doctor`"
        ) from error


def insert(connection: Connection, table: str, row: Mapping[str, Any], ending: str = "") -> bool:
    """Insert one row; False when `ending` (ON CONFLICT DO NOTHING) left the table as it was."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) " + ending).format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    return connection.execute(statement, row).rowcount == 1


def _rows(cursor: psycopg.Cursor[dict[str, Any]]) -> list[dict[str, Any]]:
    return cursor.fetchall() if cursor.description else []


def _parse_dsn(dsn: str, options: str) -> tuple[str, str]:
    """Return the connection string with UTC, a time limit and the options; and the address without secrets."""
    try:
        parts = conninfo_to_dict(dsn)  # empty for an empty address: a command that needs no server has none
    except psycopg.Error:
        parts = None
    if parts is None or _is_cut_in_two(parts):
        raise InvalidSettings(
            "the PostgreSQL address is not one: write postgresql://user:password@host:5432/database, with every "
            "character of the password that is no letter or digit as %XX, or leave it out and set PGPASSWORD"
        )
    options = f"{parts.get('options') or ''} -c timezone=UTC {options}".strip()
    limit = parts.get("connect_timeout") or CONNECT_SECONDS
    address = (
        f"{parts.get('host') or 'the local socket'}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"
    )
    return make_conninfo(dsn, options=options, connect_timeout=limit), address


def _is_alive(connection: Connection) -> bool:
    """Test an idle connection: it does not notice that the server was restarted.

    A server that ends says so, or closes, and between two statements it says nothing else: while there is nothing to
    read, no question is needed.
    """
    if connection.closed or connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
        return not connection.closed  # inside a transaction of this thread
    if not _has_something_to_say(connection):
        return True
    try:
        connection.execute("SELECT 1")
        return True
    except (psycopg.OperationalError, psycopg.InterfaceError):
        with suppress(psycopg.Error):
            connection.close()
        return False


def _has_something_to_say(connection: Connection) -> bool:
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    return bool(socket.poll(0))


def _close(connection: Connection, process: int) -> None:
    if process == os.getpid():  # a forked child that closed it would end its parent's session
        connection.close()


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_cut_in_two(parts: Mapping[str, Any]) -> bool:
    """Tell whether libpq took the rest of a password after an @ or / for host, port or database: errors print it."""
    host, port, database = (str(parts.get(name) or "") for name in ("host", "port", "dbname"))
    numeric = all(not each or each.isdecimal() for each in port.split(","))
    return not numeric or "@" in database or ("@" in host and not host.startswith("/"))
