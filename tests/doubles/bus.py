"""The bus in memory of one process: threads share it, and it ends with its process."""

import itertools
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from trading.errors import LeaseLost
from trading.ports import Message, Record


class MemoryBus:
    """Keeps every record of a topic until all its groups have read it, and the newest `keep` of those."""

    def __init__(self, keep: int = 100_000) -> None:
        self._keep = keep
        self._offsets = itertools.count(1)
        self._changed = threading.Condition()
        self._records: dict[str, list[Record]] = {}
        self._committed: dict[str, dict[str, int]] = {}  # group -> topic -> offset
        self._members: dict[str, list[object]] = {}  # of each group, the active one first

    def publish(self, messages: Sequence[Message]) -> None:
        with self._changed:
            at = datetime.now(UTC)
            for each in messages:
                record = Record(each.topic, each.key, each.value, 0, next(self._offsets), at)
                self._records.setdefault(each.topic, []).append(record)
            self._changed.notify_all()

    def consumer(self, group: str, topics: Sequence[str]) -> "MemoryConsumer":
        return MemoryConsumer(self, group, topics)

    def reader(self, topics: Sequence[str], from_start: bool = False) -> "MemoryReader":
        with self._changed:
            return MemoryReader(self, {topic: 0 if from_start else self._newest(topic) for topic in topics})

    def close(self) -> None:
        """Nothing is to be released."""

    def _newest(self, topic: str) -> int:
        records = self._records.get(topic)
        return records[-1].offset if records else 0

    def _after(self, positions: Mapping[str, int], limit: int) -> list[Record]:
        found = []
        for topic, offset in positions.items():
            records = self._records.get(topic, [])
            begin = bisect_right(records, offset, key=lambda record: record.offset)
            found += records[begin : begin + limit]
        return sorted(found, key=lambda record: record.offset)[:limit]

    def _prune(self, topics: Sequence[str]) -> None:
        for topic in topics:
            read = [offsets[topic] for offsets in self._committed.values() if topic in offsets]
            records = self._records.get(topic, [])
            done = bisect_right(records, min(read, default=0), key=lambda record: record.offset)
            del records[: max(0, min(done, len(records) - self._keep))]


class MemoryReader:
    def __init__(self, bus: MemoryBus, positions: dict[str, int]) -> None:
        self._bus, self._positions = bus, positions

    def poll(self, limit: int, timeout: float) -> list[Record]:
        with self._bus._changed:
            self._bus._changed.wait_for(lambda: bool(self._bus._after(self._positions, 1)), timeout)
            records = self._bus._after(self._positions, limit)
        self._positions |= {record.topic: record.offset for record in records}
        return records

    def close(self) -> None:
        """Nothing is to be released."""


class MemoryConsumer:
    def __init__(self, bus: MemoryBus, group: str, topics: Sequence[str]) -> None:
        self._bus, self._group, self._topics = bus, group, tuple(topics)
        self._positions: dict[str, int] | None = None  # None while another member is active
        self._closed = False
        with bus._changed:
            stored = bus._committed.setdefault(group, {})
            for topic in topics:
                stored.setdefault(topic, 0)
            bus._members.setdefault(group, []).append(self)

    def poll(self, limit: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        with self._bus._changed:
            while True:
                if self._activate():
                    assert self._positions is not None
                    if records := self._bus._after(self._positions, limit):
                        self._positions |= {record.topic: record.offset for record in records}
                        return records
                if (left := until - time.monotonic()) <= 0:
                    return []
                self._bus._changed.wait(left)

    def commit(self) -> None:
        with self._bus._changed:
            if self._closed:
                raise LeaseLost(f"consumer group {self._group}: this member has left; nothing was committed")
            if self._positions is not None:
                self._bus._committed[self._group] |= self._positions
                self._bus._prune(self._topics)

    def rewind(self, topics: Sequence[str]) -> None:
        with self._bus._changed:
            if not self._activate():
                raise LeaseLost(f"consumer group {self._group}: another member has the topics")
            assert self._positions is not None
            self._positions |= dict.fromkeys(topics, 0)
            self._bus._committed[self._group] |= dict.fromkeys(topics, 0)

    def lag(self) -> Mapping[str, int]:
        with self._bus._changed:
            done = self._bus._committed[self._group]
            return {
                topic: sum(1 for each in self._bus._records.get(topic, []) if each.offset > done[topic])
                for topic in self._topics
            }

    def close(self) -> None:
        with self._bus._changed:
            self._closed, self._positions = True, None
            if self in self._bus._members[self._group]:
                self._bus._members[self._group].remove(self)
            self._bus._changed.notify_all()

    def _activate(self) -> bool:
        if self._closed or self._bus._members[self._group][0] is not self:
            return False
        if self._positions is None:
            stored = self._bus._committed[self._group]
            self._positions = {topic: stored[topic] for topic in self._topics}
        return True
