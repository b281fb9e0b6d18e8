"""The bus as the outbox in PostgreSQL: consumer groups with offsets, woken by NOTIFY, or at the latest each second.

One member of a group is active. It has the group's lock for as long as its session lives: when it dies, the server
frees the lock and another member takes over. What it commits it commits in that very session, so one that has lost
its session cannot commit any more.
"""

import hashlib
import os
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.types.json import set_json_loads

from trading.errors import LeaseLost, StoreUnreachable
from trading.ports import Message, Record
from trading.stores.postgres.connection import Database, translate_errors
from trading.stores.postgres.outbox import append_many, listen

LOOK_SECONDS = 1.0  # between two looks at the table without a notification
STANDBY_SECONDS = 0.2  # between two attempts to become the active member
SEEN_SECONDS = 30.0  # between two notes that the group is in use
# A member whose machine vanished must not keep the others waiting for hours.
_SESSION = """
SET lock_timeout = '10s'; SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3
"""
_READ = """
SELECT found.topic, found.key, found.payload, 0, found."offset", found.at
FROM unnest(%b::text[], %b::bigint[]) AS wanted (topic, after)
CROSS JOIN LATERAL (
    SELECT * FROM bus_event WHERE topic = wanted.topic AND "offset" > wanted.after ORDER BY "offset" LIMIT %b
) AS found
ORDER BY found."offset" LIMIT %b
"""
_JOIN = """
INSERT INTO bus_groups ("group", topic, "offset", holder, committed_at, seen_at)
SELECT %(group)s, topic, 0, %(holder)s, clock_timestamp(), clock_timestamp()
FROM unnest(%(topics)s::text[]) AS wanted (topic)
ON CONFLICT ("group", topic) DO UPDATE SET holder = excluded.holder, seen_at = excluded.seen_at
RETURNING topic, "offset"
"""
_COMMIT = """
UPDATE bus_groups SET "offset" = done."offset", committed_at = clock_timestamp(), seen_at = clock_timestamp()
FROM unnest(%(topics)s::text[], %(offsets)s::bigint[]) AS done (topic, "offset")
WHERE "group" = %(group)s AND bus_groups.topic = done.topic
"""
_SEEN = 'UPDATE bus_groups SET seen_at = clock_timestamp() WHERE "group" = %s AND topic = ANY(%s)'
_LAG = """
SELECT wanted.topic, count(event."offset") AS records
FROM unnest(%(topics)s::text[]) AS wanted (topic)
LEFT JOIN bus_groups ON bus_groups.topic = wanted.topic AND "group" = %(group)s
LEFT JOIN bus_event AS event
    ON event.topic = wanted.topic AND event."offset" > coalesce(bus_groups."offset", 0)
GROUP BY wanted.topic
"""


class PostgresBus:
    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def publish(self, messages: Sequence[Message]) -> None:
        """Append all or none; InvalidValue for what is no JSON in UTF-8."""
        with self._database.transaction() as connection:
            append_many(connection, messages)

    def consumer(self, group: str, topics: Sequence[str]) -> "PostgresConsumer":
        return PostgresConsumer(self._database, group, topics)

    def reader(self, topics: Sequence[str], from_start: bool = False) -> "PostgresReader":
        return PostgresReader(self._database, topics, from_start)

    def close(self) -> None:
        self._database.close()


class _Session:
    """A connection that listens; lost with the server, and opened again with the next use."""

    def __init__(self, database: Database, topics: Collection[str]) -> None:
        self._database = database
        self._topics = topics
        self._cached: psycopg.Connection[Any] | None = None

    @property
    def connection(self) -> psycopg.Connection[Any] | None:
        """Return the open connection, None after it was lost: whoever kept an earlier one has lost its locks."""
        return None if self._cached is None or self._cached.closed else self._cached

    @contextmanager
    def use(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend the connection, a new one after the last was lost; StoreUnreachable when it is lost now."""
        with translate_errors(self._database.address):
            try:
                if self._cached is None or self._cached.closed:
                    self._cached = self._open()
                yield self._cached
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError):
                self.close()
                raise

    def read(self, positions: Mapping[str, int], limit: int) -> list[Record]:
        """Read what follows; notifications of before have no more to say then."""
        values = (list(positions), list(positions.values()), limit, limit)
        with self.use() as connection:
            for _ in connection.notifies(timeout=0):
                pass
            return [Record(*row) for row in connection.execute(_READ.encode(), values, binary=True)]

    def wait(self, seconds: float) -> None:
        """Wait for a notification of one of the topics."""
        with self.use() as connection:
            for _ in connection.notifies(timeout=max(seconds, 0), stop_after=1):
                return

    def close(self) -> None:
        if self._cached is not None:
            with suppress(psycopg.Error):
                self._cached.close()
            self._cached = None

    def _open(self) -> psycopg.Connection[Any]:
        connection = self._database.connect_unshared()
        try:
            connection.autocommit = True
            set_json_loads(_as_published, connection)
            connection.execute(_SESSION.encode())
            listen(connection, self._topics)
        except psycopg.Error:
            connection.close()
            raise
        return connection


class PostgresReader:
    def __init__(self, database: Database, topics: Sequence[str], from_start: bool) -> None:
        self._session = _Session(database, topics)
        self._positions = dict.fromkeys(topics, 0)
        if not from_start:
            newest = 'SELECT topic, max("offset") FROM bus_event WHERE topic = ANY(%s) GROUP BY topic'
            with self._session.use() as connection:
                self._positions |= dict(connection.execute(newest, (list(topics),)))

    def poll(self, limit: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        while not (records := self._session.read(self._positions, limit)):
            if (left := until - time.monotonic()) <= 0:
                return []
            self._session.wait(min(left, LOOK_SECONDS))
        self._positions |= {record.topic: record.offset for record in records}
        return records

    def close(self) -> None:
        self._session.close()


class PostgresConsumer:
    """A member of a group; for one thread at a time, but for `lag`."""

    def __init__(self, database: Database, group: str, topics: Sequence[str]) -> None:
        self._database = database
        self._group, self._topics = group, list(topics)
        self._session = _Session(database, self._topics)
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._active_in: psycopg.Connection[Any] | None = None  # the connection that has the group's lock
        self._positions: dict[str, int] = {}
        self._uncommitted = False
        self._seen_at = 0.0

    def poll(self, limit: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        while True:
            active = self._activate()
            if active and (records := self._session.read(self._positions, limit)):
                self._positions |= {record.topic: record.offset for record in records}
                self._uncommitted = True
                return records
            if (left := until - time.monotonic()) <= 0:
                return []
            if active:
                self._session.wait(min(left, LOOK_SECONDS))
            else:
                time.sleep(min(left, STANDBY_SECONDS))

    def commit(self) -> None:
        if self._uncommitted:
            self._uncommitted = False
            self._store(self._positions)

    def rewind(self, topics: Sequence[str]) -> None:
        self._activate()
        self._store(dict.fromkeys(topics, 0))
        self._positions |= dict.fromkeys(topics, 0)

    def lag(self) -> Mapping[str, int]:
        rows = self._database.execute(_LAG, {"group": self._group, "topics": self._topics})
        return {row["topic"]: row["records"] for row in rows}

    def close(self) -> None:
        if self._is_active():
            with suppress(StoreUnreachable), self._session.use() as connection:  # freed at once, not soon
                connection.execute("SELECT pg_advisory_unlock(%s)", (_lock_of(self._group),))
        self._active_in = None
        self._session.close()

    def _is_active(self) -> bool:
        return self._active_in is not None and self._active_in is self._session.connection

    def _activate(self) -> bool:
        """Become, or stay, the active member; go on after the last commit whenever this begins anew."""
        if self._is_active():
            self._note_use()
            return True
        with self._session.use() as connection:
            lock = connection.execute("SELECT pg_try_advisory_lock(%s)", (_lock_of(self._group),)).fetchone()
            if not (lock and lock[0]):
                return False
            values = {"group": self._group, "holder": self._holder, "topics": self._topics}
            self._positions = dict(connection.execute(_JOIN, values))
            self._active_in, self._seen_at, self._uncommitted = connection, time.monotonic(), False
        return True

    def _note_use(self) -> None:
        if time.monotonic() - self._seen_at >= SEEN_SECONDS:
            with self._session.use() as connection:
                connection.execute(_SEEN, (self._group, self._topics))
            self._seen_at = time.monotonic()

    def _store(self, offsets: Mapping[str, int]) -> None:
        """Commit in the session that has the lock, and in no other."""
        if not self._is_active():
            raise self._lost()
        values = {"group": self._group, "topics": list(offsets), "offsets": list(offsets.values())}
        try:
            with self._session.use() as connection:
                connection.execute(_COMMIT, values)
        except StoreUnreachable as error:
            raise self._lost() from error

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"consumer group {self._group}: this member has no session with PostgreSQL any more that holds the group's "
            "lock; nothing was committed, and what it polled since its last commit comes again"
        )


def _as_published(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _lock_of(group: str) -> int:
    """Return the advisory lock of the group: 64 bits, so that two groups never share one by chance."""
    return int.from_bytes(hashlib.sha256(f"bus group {group}".encode()).digest()[:8], signed=True)
