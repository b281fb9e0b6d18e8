"""What is on the outbox, who follows it, and what could not be read: for people."""

from dataclasses import dataclass
from datetime import datetime

from streaming.messages import DEAD_LETTERS
from trading.stores.postgres.connection import Connection

_TOPICS = """
SELECT topic, count(*) AS messages, min(at) AS oldest_at, max(at) AS newest_at FROM bus_event
GROUP BY topic ORDER BY topic
"""
_GROUPS = """
SELECT "group", topic, "offset", holder, seen_at,
    (SELECT count(*) FROM bus_event WHERE topic = bus_groups.topic AND "offset" > bus_groups."offset") AS lag
FROM bus_groups ORDER BY "group", topic
"""
_LETTERS = """
SELECT payload ->> 'group' AS "group", payload ->> 'of_topic' AS topic, count(*) AS letters, max(at) AS newest_at,
    (array_agg(payload ->> 'reason' ORDER BY "offset" DESC))[1] AS reason
FROM bus_event
WHERE topic = %s AND NOT EXISTS (SELECT FROM bus_replays WHERE letter = bus_event."offset")
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    topic: str
    messages: int
    oldest_at: datetime
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class GroupFacts:
    group: str
    topic: str
    offset: int  # the last record that is done
    lag: int  # records that wait
    holder: str  # host and process of the member that was active last
    seen_at: datetime | None  # when it last showed that it is in use; None where the back end does not say


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """Dead letters that were not sent again yet."""

    group: str
    topic: str
    letters: int
    newest_at: datetime
    reason: str  # the newest one's


def read_topics(connection: Connection) -> list[TopicFacts]:
    return [TopicFacts(**row) for row in connection.execute(_TOPICS)]


def read_groups(connection: Connection) -> list[GroupFacts]:
    return [GroupFacts(**row) for row in connection.execute(_GROUPS)]


def read_letters(connection: Connection) -> list[LetterFacts]:
    return [LetterFacts(**row) for row in connection.execute(_LETTERS, (DEAD_LETTERS,))]
