"""One ClickHouse client per store, opened when it is first needed; its errors as ours, without a password in them."""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import polars as pl

from trading.errors import InvalidValue, NotAuthorised, NotStored, StoreUnreachable

USER, PASSWORD = "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"
CONNECT_SECONDS, ANSWER_SECONDS = 10, 120
_UNKNOWN = ("(UNKNOWN_TABLE)", "(UNKNOWN_DATABASE)")
_REFUSED = (
    "(AUTHENTICATION_FAILED)",
    "(ACCESS_DENIED)",
    "(WRONG_PASSWORD)",
    "(REQUIRED_PASSWORD)",
    "(UNKNOWN_USER)",
)
# What another server or another moment may well do: the caller tries again later.
_PASSING = (
    "(MEMORY_LIMIT_EXCEEDED)", "(TOO_MANY_PARTS)", "(NOT_ENOUGH_SPACE)", "(TIMEOUT_EXCEEDED)", "(NETWORK_ERROR)",
    "(TOO_MANY_SIMULTANEOUS_QUERIES)", "(TABLE_IS_READ_ONLY)", "(SOCKET_TIMEOUT)", "(CANNOT_WRITE_TO_FILE_DESCRIPTOR)",
    "(KEEPER_EXCEPTION)", "(UNFINISHED)", "(ABORTED)",
)  # fmt: skip
Settings = Mapping[str, Any]
# What goes wrong is raised: without a handler the client's warnings would go to standard error beside our message.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())


class ClickHouse:
    """A database on a server. Threads may share it: no session, each query stands alone."""

    def __init__(self, connect: Callable[[], Any], database: str, address: str) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Any = None
        self._made: set[str] = set()
        self.database = database
        self.address = address

    @classmethod
    def at(cls, url: str, database: str, environment: Mapping[str, str] = os.environ) -> "ClickHouse":
        """Use the server of the address, as the user that CLICKHOUSE_USER and CLICKHOUSE_PASSWORD name."""
        user, password = environment.get(USER, "default"), environment.get(PASSWORD, "")

        def connect() -> Any:
            import clickhouse_connect  # takes 0.3 s that only its users need

            return clickhouse_connect.get_client(
                dsn=url,
                username=user,
                password=password,
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=ANSWER_SECONDS,
                autogenerate_session_id=False,
                client_name="marketloom",
            )

        return cls(connect, database, url)

    def execute(self, statement: str, values: Mapping[str, Any] | None = None) -> Any:
        """Run a statement; returns its single row, or value."""
        with self._translate_errors():
            return self._open().command(statement, parameters=dict(values or {}))

    def make_once(self, statement: str) -> None:
        """Run CREATE ... IF NOT EXISTS once in this process; makes the database before."""
        if statement not in self._made:
            self._make_database()
            self.execute(statement)
            self._made.add(statement)

    def _make_database(self) -> None:
        """Make it where it is missing: a user without that right may use one that somebody made."""
        there = self.query(
            "SELECT name FROM system.databases WHERE name = {name:String}", {"name": self.database}
        )
        if there.is_empty():
            self.execute(f"CREATE DATABASE IF NOT EXISTS {self.quoted_database}")

    def insert(self, table: str, rows: pl.DataFrame, settings: Settings | None = None) -> None:
        """Insert the rows as one block. A failed insert leaves none of them."""
        with self._translate_errors():
            self._open().insert_arrow(
                table, rows.to_arrow(), database=self.database, settings=dict(settings or {})
            )

    def query(
        self, query: str, values: Mapping[str, Any] | None = None, settings: Settings | None = None
    ) -> pl.DataFrame:
        """Run a SELECT. NotStored where its table, or the database, is not there."""
        with self._translate_errors():
            answer = self._open().query_arrow(
                query, parameters=dict(values or {}), settings=dict(settings or {})
            )
            found = pl.from_arrow(answer)
        assert isinstance(found, pl.DataFrame)
        return found

    def for_people(self) -> "ClickHouse":
        """Return a connection of its own in which a table's name alone means one of this database."""

        def connect() -> Any:
            client = self._connect()
            client.database = self.database
            return client

        return ClickHouse(connect, self.database, self.address)

    def table(self, name: str) -> str:
        """Return the table's full name, quoted."""
        return f"{self.quoted_database}.{quoted(name)}"

    @property
    def quoted_database(self) -> str:
        return quoted(self.database)

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        try:
            yield
        except OperationalError as error:
            self._made.clear()  # the server may come back without its tables
            raise StoreUnreachable(self._words("does not answer", error)) from None
        except ClickHouseError as error:
            raise self._named(error) from None
        except OSError as error:
            raise StoreUnreachable(self._words("does not answer", error)) from None

    def _named(self, error: Exception) -> Exception:
        text = str(error)
        if any(code in text for code in _REFUSED):
            return NotAuthorised(
                self._words("refuses", error) + f" Set {USER} and {PASSWORD}, and grant the rights that "
                "docs/stores.md names"
            )
        if any(code in text for code in _UNKNOWN):
            self._made.clear()
            return NotStored(self._words("has no such table", error))
        if any(code in text for code in _PASSING):
            return StoreUnreachable(self._words("cannot do it now", error))
        return InvalidValue(self._words("refuses", error))

    def _words(self, what: str, error: Exception) -> str:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"ClickHouse at {self.address}, database {self.database}, {what}: {reason[:300]}."


def quoted(name: str) -> str:
    """Quote an identifier of ours. InvalidValue for one that would need escaping."""
    if "`" in name or "\\" in name:
        raise InvalidValue(f"{name!r} cannot name a table, column or database")
    return f"`{name}`"
