"""The bus as a table in PostgreSQL, with NOTIFY for readers that would rather wait than poll."""

from collections.abc import Mapping
from typing import Any

from trading.ports import Event
from trading.stores.journal_rules import json_text
from trading.stores.postgres.connection import Connection, Database

CHANNEL = "bus_event"  # the notification's payload is the topic
PUBLISH_LOCK = 7_201_002  # any number that nothing else in the database locks


class PostgresBus:
    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def publish(self, topic: str, key: str, payload: Mapping[str, Any]) -> int:
        with self._database.transaction() as connection:
            return append(connection, topic, key, payload)

    def read(self, topic: str, after: int, limit: int = 1000) -> list[Event]:
        with self._database.transaction() as connection:
            rows = connection.execute(
                'SELECT * FROM bus_event WHERE topic = %s AND "offset" > %s ORDER BY "offset" LIMIT %s',
                (topic, after, limit),
            ).fetchall()
        return [Event(**row) for row in rows]

    def newest(self, topic: str, key: str) -> Event | None:
        with self._database.transaction() as connection:
            row = connection.execute(
                'SELECT * FROM bus_event WHERE topic = %s AND key = %s ORDER BY "offset" DESC LIMIT 1',
                (topic, key),
            ).fetchone()
        return Event(**row) if row else None


def append(connection: Connection, topic: str, key: str, payload: Mapping[str, Any]) -> int:
    """Publish inside the caller's transaction: the event appears together with what it tells of.

    Publishers take turns until they commit. Otherwise a lower offset could commit after a higher one was read,
    and the reader would never see it.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PUBLISH_LOCK,))
    row = connection.execute(
        "INSERT INTO bus_event (topic, key, payload, at) VALUES (%s, %s, %s, clock_timestamp()) "
        'RETURNING "offset", pg_notify(%s, %s)',
        (topic, key, json_text(dict(payload)), CHANNEL, topic),
    ).fetchone()
    assert row is not None  # INSERT ... RETURNING of one row gives one row
    offset: int = row["offset"]
    return offset
