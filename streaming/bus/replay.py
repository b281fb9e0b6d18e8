"""Sending dead letters again: each once, to the topic that it came from."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streaming.messages import DEAD_LETTERS, DeadLetter
from streaming.sinks.dead_letters import message_in
from trading.ports import Message
from trading.stores.postgres.connection import Connection, Database
from trading.stores.postgres.outbox import append_many

REPLAY_LOCK = 7_201_005  # any number that nothing else in the database locks
CHUNK = 500  # letters of a transaction
_LETTERS = """
SELECT "offset", payload::text AS letter FROM bus_event
WHERE topic = %(dead)s AND "offset" > %(after)s AND "offset" <= %(until)s
    AND NOT EXISTS (SELECT FROM bus_replays WHERE letter = bus_event."offset")
    AND (%(topic)s::text IS NULL OR payload ->> 'of_topic' = %(topic)s)
    AND (%(group)s::text IS NULL OR payload ->> 'group' = %(group)s)
ORDER BY "offset" LIMIT %(limit)s
"""
_DONE = "INSERT INTO bus_replays SELECT letter, clock_timestamp() FROM unnest(%s::bigint[]) AS sent (letter)"


@dataclass
class Replayed:
    """How many messages were sent again, by topic; and how many letters no JSON holds, so that only a broker can."""

    sent: Counter[str] = field(default_factory=Counter)
    not_json: int = 0


def replay(
    database: Database,
    topic: str | None = None,
    group: str | None = None,
    to_broker: Callable[[Sequence[Message]], None] | None = None,
) -> Replayed:
    """Send every letter of the topic and group that was not sent again before; those that come meanwhile wait.

    A record that several groups could not read is sent once. What fails again becomes a new letter. `to_broker`
    publishes what is no JSON, which the outbox cannot hold; without it such letters stay. Raises StoreUnreachable.
    """
    replayed, after = Replayed(), 0
    with database.transaction() as connection:
        newest = connection.execute('SELECT coalesce(max("offset"), 0) AS until FROM bus_event').fetchone()
    assert newest is not None
    asked = {"dead": DEAD_LETTERS, "until": newest["until"], "topic": topic, "group": group, "limit": CHUNK}
    seen: set[tuple[str, int, int]] = set()
    while True:
        with database.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (REPLAY_LOCK,))
            rows = connection.execute(_LETTERS, {**asked, "after": after}).fetchall()
            if not rows:
                return replayed
            after = rows[-1]["offset"]
            _send(connection, rows, seen, replayed, to_broker)


def _send(
    connection: Connection,
    rows: Sequence[dict[str, Any]],
    seen: set[tuple[str, int, int]],
    replayed: Replayed,
    to_broker: Callable[[Sequence[Message]], None] | None,
) -> None:
    """Publish in the transaction that notes the letters as done; what goes to a broker may go twice in a crash."""
    documents: list[Message] = []
    others: list[Message] = []
    done: list[int] = []
    for row in rows:
        letter = msgspec.json.decode(row["letter"], type=DeadLetter)
        message, place = message_in(letter), (letter.of_topic, letter.partition, letter.offset)
        is_json = _is_json(message.value)
        if not is_json and to_broker is None:
            replayed.not_json += 1
            continue
        done.append(row["offset"])
        if place not in seen:
            seen.add(place)
            (documents if is_json else others).append(message)
    connection.execute(_DONE, (done,))
    append_many(connection, documents)
    if others and to_broker is not None:
        to_broker(others)
    replayed.sent.update(message.topic for message in [*documents, *others])


def _is_json(value: bytes) -> bool:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
