"""The outbox: a table to which everything is written that goes onto the bus, with NOTIFY for those who wait.

An append is part of its caller's transaction: the message appears together with what it tells of, or not at all.
Publishers take turns until they commit. Otherwise a lower offset could commit after a higher one was read, and the
reader would never see it.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from trading.errors import InvalidValue
from trading.ports import Event, Message
from trading.stores.journal_rules import json_text
from trading.stores.postgres.connection import Connection, Database, translate_errors

CHANNEL = "bus_event"  # and a dot and the topic: who waits for candles is not woken by each trade
LOOK_SECONDS = 5.0  # between two looks at the table without a notification
PUBLISH_LOCK = 7_201_002  # any number that nothing else in the database locks
# Part of a statement that has a CTE `allowed`: without a row in it nothing is appended. The turn is taken before the
# first offset is drawn: each row needs the lock's.
ADDED = f"""
turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({PUBLISH_LOCK}) AS taken FROM allowed),
added AS (
    INSERT INTO bus_event (topic, key, payload, at)
    SELECT topic, key, value::json, clock_timestamp() FROM turn
    CROSS JOIN unnest(%(topics)b::text[], %(keys)b::text[], %(values)b::text[])
        WITH ORDINALITY AS message (topic, key, value, number)
    ORDER BY number
    RETURNING topic, "offset"
)
SELECT topic, max("offset") AS newest, pg_notify('{CHANNEL}.' || topic, '') FROM added GROUP BY topic
"""
_IS_THERE = 'SELECT 1 FROM bus_event WHERE topic = %s AND "offset" > %s AND key = ANY(%s) LIMIT 1'
_APPEND = f"WITH allowed AS (SELECT 1), {ADDED}"


def append_many(connection: Connection, messages: Sequence[Message]) -> int:
    """Publish in one statement, inside the caller's transaction; returns the highest offset, 0 without a message.

    Offsets rise in the order of `messages`, and in commit order. Raises InvalidValue for what is no UTF-8, and
    psycopg.DataError (InvalidValue, where a Database opened the transaction) for what is no JSON: the transaction is
    void then.
    """
    if not messages:
        return 0
    rows = connection.execute(_APPEND.encode(), columns_of(messages))
    newest: int = max(row["newest"] for row in rows)
    return newest


def columns_of(messages: Sequence[Message]) -> dict[str, list[str]]:
    """Return the values of `ADDED`. InvalidValue for what is no UTF-8."""
    try:
        values = [message.value.decode() for message in messages]
    except UnicodeDecodeError as error:
        raise InvalidValue(f"a message is no UTF-8: {error}; nothing was published") from None
    topics, keys = [message.topic for message in messages], [message.key for message in messages]
    return {"topics": topics, "keys": keys, "values": values}


def append(connection: Connection, topic: str, key: str, payload: Mapping[str, Any]) -> int:
    """Publish one payload inside the caller's transaction and return its offset. InvalidValue for what is no JSON."""
    return append_many(connection, [Message(topic, key, json_text(dict(payload)).encode())])


def listen(connection: psycopg.Connection[Any], topics: Iterable[str]) -> None:
    """Let the connection be notified of what is published on these topics."""
    for topic in topics:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(f"{CHANNEL}.{topic}")))


class PostgresEventLog:
    """The outbox for readers that keep their own offset."""

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

    def wait(self, topic: str, keys: Sequence[str], after: int, seconds: float) -> bool:
        until = time.monotonic() + seconds
        with translate_errors(self._database.address), self._database.connect_unshared() as connection:
            connection.autocommit = True
            listen(connection, [topic])
            while not connection.execute(_IS_THERE.encode(), (topic, after, list(keys))).fetchone():
                left = until - time.monotonic()
                if left <= 0:
                    return False
                for _ in connection.notifies(timeout=min(left, LOOK_SECONDS), stop_after=1):
                    pass
        return True

    def newest(self, topic: str, key: str, origin: str | None = None) -> Event | None:
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM bus_event WHERE topic = %(topic)s AND key = %(key)s "
                "AND (%(origin)s::text IS NULL OR payload->>'origin' = %(origin)s) "
                'ORDER BY "offset" DESC LIMIT 1',
                {"topic": topic, "key": key, "origin": origin},
            ).fetchone()
        return Event(**row) if row else None
