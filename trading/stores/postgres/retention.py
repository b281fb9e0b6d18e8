"""How long the outbox keeps its messages.

What every consumer group of a topic has read goes once it is older than the settings say. A group that does not read
holds the rest, but not for ever: what is HELD times as old goes all the same, and a group that nobody has used for
that time is forgotten. The newest event of each candle key always stays: the decision sensor begins with it.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from trading.candle_events import CANDLE_CLOSED
from trading.stores.postgres.connection import Connection, Database

HELD = 10  # times the retention: the longest that a group can hold messages which it has not read
CHUNK = 10_000  # rows of a transaction, so that nobody waits for it
# A group of a venue's stream, `analytical.kraken`, passes over what is of another venue, also while nobody runs it: a
# stream that was given up holds nothing of those that go on. The text is searched: it need not be an object.
_PASS_OVER = """
UPDATE bus_groups SET "offset" = greatest("offset", coalesce(
    (SELECT min(event."offset") - 1 FROM bus_event AS event WHERE event.topic = bus_groups.topic
        AND event."offset" > bus_groups."offset"
        AND position('"origin":"' || lease.origin || '"' IN replace(event.payload::text, ' ', '')) > 0),
    (SELECT max(event."offset") FROM bus_event AS event WHERE event.topic = bus_groups.topic),
    "offset"
))
FROM stream_leases AS lease WHERE substring("group" from '[.](.+)$') = lease.origin
"""
_FORGET = """
DELETE FROM bus_groups WHERE seen_at < clock_timestamp() - %(hours)s * interval '1 hour' RETURNING "group"
"""
# What a group has not read yet: offsets above `read`; without a group everything counts as read.
_DELETE = """
WITH bounds AS (
    SELECT topic, min("offset") AS read FROM bus_groups GROUP BY topic
),
old AS (
    SELECT event."offset", event.topic, event."offset" > coalesce(bounds.read, event."offset") AS unread
    FROM bus_event AS event LEFT JOIN bounds USING (topic)
    WHERE event.at < clock_timestamp() - %(keep)s
        AND (event."offset" <= coalesce(bounds.read, event."offset") OR event.at < clock_timestamp() - %(held)s)
        AND NOT (event.topic = %(candles)s AND NOT EXISTS (
            SELECT FROM bus_event AS newer
            WHERE newer.topic = event.topic AND newer.key = event.key AND newer."offset" > event."offset"))
    ORDER BY event.at LIMIT %(chunk)s
),
gone AS (DELETE FROM bus_event USING old WHERE bus_event."offset" = old."offset" RETURNING old.topic, old.unread),
replays AS (DELETE FROM bus_replays USING old WHERE letter = old."offset")
SELECT topic, count(*) AS rows, count(*) FILTER (WHERE unread) AS unread FROM gone GROUP BY topic
"""


@dataclass
class Pruned:
    """What went: messages per topic, of those the ones that a group had not read, and forgotten groups."""

    deleted: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """Say what a person should know; empty when nothing unread went."""
        if not self.unread:
            return ""
        topics = ", ".join(f"{count} of {topic}" for topic, count in sorted(self.unread.items()))
        return f"messages were deleted that a consumer group had not read for {HELD} times the retention: {topics}"


def prune(dsn: str, retention: timedelta) -> Pruned:
    """Delete what has been kept long enough; once an hour is often enough. Raises StoreUnreachable."""
    pruned = Pruned()
    database = Database(dsn)
    try:
        with database.transaction() as connection:
            hours = HELD * retention.total_seconds() / 3600
            rows = connection.execute(_FORGET, {"hours": hours}).fetchall()
            pruned.forgotten = sorted({row["group"] for row in rows})
            connection.execute(_PASS_OVER)
        deleted = CHUNK
        while deleted >= CHUNK:
            with database.transaction() as connection:
                deleted = _prune_chunk(connection, retention, pruned)
    finally:
        database.close()
    return pruned


def _prune_chunk(connection: Connection, retention: timedelta, pruned: Pruned) -> int:
    values = {"keep": retention, "held": HELD * retention, "chunk": CHUNK, "candles": CANDLE_CLOSED}
    deleted = 0
    for row in connection.execute(_DELETE, values).fetchall():
        deleted += row["rows"]
        pruned.deleted[row["topic"]] = pruned.deleted.get(row["topic"], 0) + row["rows"]
        if row["unread"]:
            pruned.unread[row["topic"]] = pruned.unread.get(row["topic"], 0) + row["unread"]
    return deleted
