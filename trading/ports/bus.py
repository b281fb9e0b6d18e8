"""Protocols of the bus. Times are UTC.

Everything that the system says to itself is first written to the outbox, a table in PostgreSQL: there it is durable,
and there it commits together with what it tells of. Consumers follow the bus of the settings: the outbox itself, or a
Kafka broker to which a relay copies it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the outbox; offsets rise in commit order."""

    offset: int
    topic: str
    key: str
    payload: dict[str, Any]
    at: datetime


class EventLog(Protocol):
    """The outbox as an append-only log that readers follow with their own offset."""

    def publish(self, topic: str, key: str, payload: Mapping[str, Any]) -> int:
        """Append; returns the offset once it is durable."""

    def read(self, topic: str, after: int, limit: int = 1000) -> list[Event]:
        """Return events with offset above `after`, in order. No event ever appears below one that was already read."""

    def wait(self, topic: str, keys: Sequence[str], after: int, seconds: float) -> bool:
        """Wait until an event of one of the keys is there with an offset above `after`; False: none came in time."""

    def newest(self, topic: str, key: str, origin: str | None = None) -> Event | None:
        """Return the newest event of the key, where an origin is given of those that name it; None without one."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published: `value` is one JSON document in UTF-8 whose schema the topic names (docs/bus.md)."""

    topic: str
    key: str  # the pair's key, BTC-USDT: messages of one key stay in order
    value: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A message as a consumer gets it; (topic, partition, offset) names it for ever."""

    topic: str
    key: str
    value: bytes
    partition: int  # 0 where the back end has none
    offset: int  # rises within topic and partition
    at: datetime  # when it was published


class Consumer(Protocol):
    """One member of a consumer group: what it polls it alone gets, until it commits, closes or dies.

    At least once: after a crash everything since the last commit comes again, in the same order per key.
    """

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records in order per key; waits up to `timeout` seconds for the first one.

        Empty when nothing came, or while another member of the group has the topics. StoreUnreachable while the bus
        is away: a later call goes on where the last commit was.
        """

    def commit(self) -> None:
        """Make everything that `poll` has returned so far count as done. LeaseLost after a rebalance took it away."""

    def rewind(self, topics: Sequence[str]) -> None:
        """Begin these topics again with the oldest record that is kept, for the whole group, as if nothing of them had
        been committed: what the records were written to has lost them."""

    def lag(self) -> Mapping[str, int]:
        """Return the number of records per topic that are published and not committed by the group.

        Any thread may ask, also while another one is held up by what the records are written to.
        """

    def close(self) -> None:
        """Leave the group at once; what was not committed goes to the next member."""


class Reader(Protocol):
    """One who looks at topics without a group: it leaves nothing behind, and others get all records nevertheless."""

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records as `Consumer.poll` does; each once while the bus is there."""

    def close(self) -> None:
        """Release its connection."""


class Bus(Protocol):
    """Topics of messages that consumer groups follow, each at its own pace."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Append all, in order per key; returns once they are durable at the back end. StoreUnreachable otherwise:
        then some may have been published, and publishing them again is right."""

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """Join the group; a new group begins with the oldest record that is kept. Each group reads every record."""

    def reader(self, topics: Sequence[str], from_start: bool = False) -> Reader:
        """Look at what is published from now on; `from_start`: at everything that is kept first."""

    def close(self) -> None:
        """Release connections; consumers are closed by their owners."""
