"""The relay: a consumer of the outbox that copies it to a broker, in its order, and again where the broker lost it.

Of each partition it remembers the newest record that it put there. Before it adds others, and every few seconds, it
reads that record again. Where the broker has another one in its place, or none, it has lost its memory, and the topic
is relayed again from the oldest message that the outbox keeps. Consumers see messages twice then, and none out of
order per key but for that.
"""

import hashlib
import time
from collections.abc import Sequence

from streaming.bus.kafka import KafkaBus
from streaming.messages import SCHEMAS
from streaming.sinks import StartAgain
from trading.ports import Message, Record
from trading.stores.postgres.connection import Database

CHECK_SECONDS = 10.0  # between two looks whether the broker still has what it confirmed
Place = tuple[str, int]  # topic and partition
_REMEMBER = """
INSERT INTO bus_relayed (topic, partition, "offset", digest, at)
SELECT topic, partition, "offset", digest, clock_timestamp()
FROM unnest(%b::text[], %b::int[], %b::bigint[], %b::bytea[]) AS newest (topic, partition, "offset", digest)
ON CONFLICT (topic, partition) DO UPDATE SET "offset" = excluded."offset", digest = excluded.digest, at = excluded.at
"""


class KafkaRelay:
    """A sink of the outbox: run it with a PostgresBus, one active in all processes."""

    group = "relay"

    def __init__(self, dsn: str, broker: KafkaBus, topics: Sequence[str] = tuple(SCHEMAS)) -> None:
        self.topics = tuple(topics)
        self._database, self._broker = Database(dsn), broker
        # When the broker was last found to have everything; 0: it must be checked first.
        self._checked_at = 0.0

    def write(self, records: Sequence[Record]) -> None:
        self.idle()
        self._checked_at, before = 0.0, self._checked_at  # after a failure what it has is not known
        places = self._broker.deliver([Message(each.topic, each.key, each.value) for each in records])
        self._remember(records, places)
        self._checked_at = before

    def idle(self) -> None:
        """Raise StartAgain for the topics that the broker has lost."""
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        with self._database.transaction() as connection:
            rows = connection.execute(
                'SELECT topic, partition, "offset", digest FROM bus_relayed WHERE topic = ANY(%s)',
                (list(self.topics),),
            ).fetchall()
        expected = {(row["topic"], row["partition"]): (row["offset"], bytes(row["digest"])) for row in rows}
        found = self._broker.values_at({place: offset for place, (offset, _) in expected.items()})
        lost = {place[0] for place, (_, digest) in expected.items() if _digest(found.get(place)) != digest}
        if lost:
            self._forget(lost)
            raise StartAgain(sorted(lost), "the broker has lost what was relayed")
        self._checked_at = time.monotonic()

    def _remember(self, records: Sequence[Record], places: Sequence[tuple[int, int]]) -> None:
        newest: dict[Place, tuple[int, bytes]] = {}
        for record, (partition, offset) in zip(records, places, strict=True):
            if offset >= newest.get((record.topic, partition), (0, b""))[0]:
                newest[record.topic, partition] = (offset, record.value)
        values = (
            [topic for topic, _ in newest],
            [partition for _, partition in newest],
            [offset for offset, _ in newest.values()],
            [_digest(value) for _, value in newest.values()],
        )
        with self._database.transaction() as connection:
            connection.execute(_REMEMBER.encode(), values)

    def _forget(self, topics: set[str]) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM bus_relayed WHERE topic = ANY(%s)", (list(topics),))


def _digest(value: bytes | None) -> bytes:
    return b"" if value is None else hashlib.sha256(value).digest()
