"""Following topics of a broker: members of a group with manual commits, and readers without a group."""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streaming.bus.kafka.client import ASK_SECONDS, BrokerAddress
from trading.errors import LeaseLost, StoreUnreachable
from trading.ports import Record

SLICE_SECONDS = 1.0  # between two looks whether the broker is still there
PARTITIONS_SECONDS = 5.0  # between two looks of a reader for partitions that are new
QUEUE_KILOBYTES = 16_384  # that are fetched ahead
Place = tuple[str, int]  # topic and partition
_GONE = {  # the group goes on without this member
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._STATE,
}


class _Client:
    """A librdkafka consumer that says when its broker is away."""

    def __init__(self, address: BrokerAddress, **settings: Any) -> None:
        self.address = address
        self._trouble: Any = None
        with address.translate_errors():
            self.consumer = Consumer(
                address.settings(
                    **{
                        "enable_auto_commit": False,
                        "enable_auto_offset_store": False,
                        "auto_offset_reset": "earliest",
                        "queued_max_messages_kbytes": QUEUE_KILOBYTES,
                        "fetch_wait_max_ms": 100,
                        "error_cb": self._note_trouble,
                    }
                    | settings
                )
            )

    def fetch(self, limit: int, timeout: float) -> list[Any]:
        """Return up to `limit` messages; StoreUnreachable when none came and the broker is away."""
        until = time.monotonic() + timeout
        with self.address.translate_errors():
            while True:
                left = until - time.monotonic()
                first = self.consumer.poll(max(0.0, min(left, SLICE_SECONDS)))
                if first is not None:
                    return [first, *self.consumer.consume(limit - 1, timeout=0)] if limit > 1 else [first]
                if self._trouble is not None:
                    self.consumer.list_topics(timeout=ASK_SECONDS)  # raises while it is away
                    self._trouble = None
                if left <= 0:
                    return []

    def partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        with self.address.translate_errors():
            known = self.consumer.list_topics(timeout=ASK_SECONDS).topics
        return [
            TopicPartition(topic, each)
            for topic in topics
            if topic in known
            for each in known[topic].partitions
        ]

    def _note_trouble(self, error: Any) -> None:
        self._trouble = error


class KafkaReader:
    """Reads all partitions, joins no group and commits nothing."""

    def __init__(self, address: BrokerAddress, topics: Sequence[str], from_start: bool) -> None:
        self._client = _Client(
            address, group_id=f"marketloom-reader-{uuid4().hex}", enable_partition_eof=True
        )
        self._topics = list(topics)
        self._assigned: set[Place] = set()
        self._looked_at = 0.0
        self._assign(OFFSET_BEGINNING if from_start else OFFSET_END)
        if not from_start:
            self._skip(set(self._assigned))

    def poll(self, limit: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        while True:
            if time.monotonic() - self._looked_at > PARTITIONS_SECONDS:
                self._assign(OFFSET_BEGINNING)
            left = max(0.0, until - time.monotonic())
            found = self._client.fetch(limit, min(left, SLICE_SECONDS))
            records = [_record(each) for each in found if each.error() is None]
            if records or time.monotonic() >= until:
                return records

    def close(self) -> None:
        self._client.consumer.close()

    def _assign(self, begin: int) -> None:
        """Add the partitions that are new, as those of a topic that did not exist before."""
        self._looked_at = time.monotonic()
        partitions = self._client.partitions(self._topics)
        new = [each for each in partitions if (each.topic, each.partition) not in self._assigned]
        if new:
            positions = [TopicPartition(each.topic, each.partition, begin) for each in new]
            self._client.consumer.incremental_assign(positions)
            self._assigned |= {(each.topic, each.partition) for each in new}

    def _skip(self, places: set[Place]) -> None:
        """Go to the true end of each partition: "end" alone is too early where a broker names a wrong one."""
        until = time.monotonic() + ASK_SECONDS
        while places and time.monotonic() < until:
            for each in self._client.fetch(1000, 0.2):
                if each.error() is not None and each.error().code() == KafkaError._PARTITION_EOF:
                    places.discard((each.topic(), each.partition()))


def values_at(address: BrokerAddress, offsets: Mapping[Place, int]) -> dict[Place, bytes]:
    """Return what lies at an offset of each partition; what is not there, or not within seconds, is left out."""
    client = _Client(
        address,
        group_id=f"marketloom-reader-{uuid4().hex}",
        enable_partition_eof=True,
        auto_offset_reset="error",
    )
    found: dict[Place, bytes] = {}
    try:
        existing = {
            (each.topic, each.partition) for each in client.partitions([topic for topic, _ in offsets])
        }
        asked = {place for place in offsets if place in existing}
        client.consumer.assign([TopicPartition(*place, offsets[place]) for place in asked])
        until = time.monotonic() + ASK_SECONDS
        while asked and time.monotonic() < until:
            for each in client.fetch(1000, 0.2):
                place = (each.topic(), each.partition())
                if place in asked and each.error() is None and each.offset() == offsets[place]:
                    found[place] = each.value() or b""
                asked.discard(place)  # with its record, another one, the end or an error
    finally:
        client.consumer.close()
    return found


class KafkaConsumer:
    """A member of a group; for one thread, and another one that asks for its lag. They take turns at the client, which
    must not be closed under a question. Members share the partitions of the topics."""

    def __init__(
        self, address: BrokerAddress, group: str, topics: Sequence[str], session_seconds: float
    ) -> None:
        self._address, self._group, self._topics = address, group, list(topics)
        self._session_seconds = session_seconds
        self._assigned: set[Place] = set()
        self._done: dict[Place, int] = {}  # the next offset of what was polled and is not committed
        self._waiting: list[Record] = []  # fetched, but not given out yet
        self._lost = self._closed = self._away = False
        self._turn = threading.RLock()
        self._client = self._join()

    def poll(self, limit: int, timeout: float) -> list[Record]:
        if not self._waiting:
            with self._turn:
                self._fetch(limit, timeout)
        records, self._waiting = self._waiting[:limit], self._waiting[limit:]
        for each in records:
            self._done[each.topic, each.partition] = each.offset + 1
        return records

    def commit(self) -> None:
        """Commit what this member still has; LeaseLost if anything polled was of partitions that it lost."""
        if self._closed and self._done:
            raise self._lease_lost("it has left the group")
        if self._done:
            with self._turn:
                self._store(self._done)
            self._done = {}
        if self._lost:
            self._lost = False
            raise self._lease_lost("the group gave its partitions to another member")

    def rewind(self, topics: Sequence[str]) -> None:
        """Begin again with the partitions that this member has."""
        with self._turn:
            self._rewind(topics)

    def _rewind(self, topics: Sequence[str]) -> None:
        while not self._assigned:
            self._fetch(1, SLICE_SECONDS)
        places = [place for place in self._assigned if place[0] in topics]
        self._store(dict.fromkeys(places, 0))  # where 0 is not kept any more the oldest record counts
        self._waiting = [each for each in self._waiting if each.topic not in topics]
        self._done = {place: offset for place, offset in self._done.items() if place[0] not in topics}
        with self._address.translate_errors():
            for topic, partition in places:
                self._client.consumer.seek(TopicPartition(topic, partition, OFFSET_BEGINNING))

    def lag(self) -> Mapping[str, int]:
        lag = dict.fromkeys(self._topics, 0)
        with self._turn, self._address.translate_errors():
            if self._closed:
                raise self._lease_lost("it has left the group")
            partitions = self._client.partitions(self._topics)
            for each in self._client.consumer.committed(partitions, timeout=ASK_SECONDS):
                low, high = self._watermarks(each)
                done = max(each.offset, low)  # below 0 where nothing is committed
                lag[each.topic] += max(0, high - done)
        return lag

    def close(self) -> None:
        with self._turn:
            if not self._closed:
                self._closed = True
                done = dict(self._done)
                self._client.consumer.close()
                self._done = done

    def _join(self) -> _Client:
        client = _Client(
            self._address,
            group_id=self._group,
            session_timeout_ms=int(1000 * self._session_seconds),
            heartbeat_interval_ms=int(1000 * self._session_seconds / 3),
            # Eager: a member that leaves while the others join would stall a cooperative group of some brokers.
            partition_assignment_strategy="range",
        )
        with self._address.translate_errors():
            client.consumer.subscribe(
                self._topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
            )
        return client

    def _join_again(self) -> None:
        """Be a new member once the broker is back: with one that has lost its memory the old one may wait for ever."""
        self._client.partitions(self._topics)  # raises while it is away
        self._client.consumer.close()  # revokes what it had
        self._revoke(None, [TopicPartition(*place) for place in self._assigned])
        self._client, self._away = self._join(), False

    def _fetch(self, limit: int, timeout: float) -> None:
        if self._away:
            self._join_again()
        until = time.monotonic() + timeout
        while True:
            try:
                found = self._client.fetch(limit, max(0.0, until - time.monotonic()))
            except StoreUnreachable:
                self._away = True
                raise
            self._waiting += [
                _record(each)
                for each in found
                if each.error() is None and (each.topic(), each.partition()) in self._assigned
            ]
            if self._waiting or time.monotonic() >= until:
                return

    def _store(self, done: Mapping[Place, int]) -> None:
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in done.items()]
        try:
            stored = self._client.consumer.commit(offsets=offsets, asynchronous=False)
            for error in (each.error for each in stored):
                if error is not None:
                    raise KafkaException(error)
        except KafkaException as error:
            reason = error.args[0]
            if reason.code() in _GONE:
                raise self._lease_lost(reason.str()) from error
            raise self._address.unreachable(reason.str()) from error

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the oldest offset and the next one; what a fetch said is newer, and right where a broker's answer to
        this very question is wrong."""
        consumer = self._client.consumer
        low, high = consumer.get_watermark_offsets(partition, cached=True)
        if (partition.topic, partition.partition) not in self._assigned or high < 0:
            low, high = consumer.get_watermark_offsets(partition, timeout=ASK_SECONDS)
        return max(low, 0), max(high, self._done.get((partition.topic, partition.partition), 0))

    def _assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._assigned |= {(each.topic, each.partition) for each in partitions}

    def _revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        for place in ((each.topic, each.partition) for each in partitions):
            self._assigned.discard(place)
            self._lost |= self._done.pop(place, None) is not None
        self._waiting = [each for each in self._waiting if (each.topic, each.partition) in self._assigned]

    def _lease_lost(self, reason: str) -> LeaseLost:
        return LeaseLost(
            f"consumer group {self._group}: {reason}; what this member polled of it since its last commit comes again"
        )


def _record(message: Any) -> Record:
    return Record(
        message.topic(),
        (message.key() or b"").decode(errors="replace"),
        message.value() or b"",
        message.partition(),
        message.offset(),
        datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
    )
