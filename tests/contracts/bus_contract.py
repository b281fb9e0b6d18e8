"""What every bus promises, whatever carries it."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trading.errors import LeaseLost
from trading.ports import Bus, Consumer, Message, Reader, Record

PATIENCE = 180.0  # seconds after which a fact that is waited for counts as missing; a group may take a minute to notice


def message(number: int, key: str = "BTC-USDT", topic: str = "trades") -> Message:
    return Message(topic, key, b'{"n":%d}' % number)


def number(record: Record) -> int:
    return int(record.value.removeprefix(b'{"n":').removesuffix(b"}"))


def take(follower: Consumer | Reader, count: int, limit: int = 100) -> list[Record]:
    """Poll until so many records came."""
    records: list[Record] = []
    until = time.monotonic() + PATIENCE
    while len(records) < count:
        assert time.monotonic() < until, f"only {len(records)} of {count} records came"
        records += follower.poll(min(limit, count - len(records)), 0.5)
    return records


def wait_until(fact: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < until, "it did not become true"
        time.sleep(0.02)


class BusContract:
    """Every bus keeps these promises."""

    @pytest.fixture
    def bus(self) -> Any:
        raise NotImplementedError

    def test_a_new_group_reads_everything_from_the_oldest_record_on_in_order_per_key(self, bus: Bus) -> None:
        keys = ("BTC-USDT", "XRP-USDT", "XRP-BTC")
        bus.publish([message(n, keys[n % 3]) for n in range(300)])
        consumer = bus.consumer("store", ["trades"])
        records = take(consumer, 300, limit=70)
        for index, key in enumerate(keys):
            assert [number(each) for each in records if each.key == key] == [*range(index, 300, 3)]
        places = [(each.topic, each.partition, each.offset) for each in records]
        assert len(set(places)) == 300
        now = datetime.now(UTC)
        assert all(now - timedelta(minutes=5) < each.at < now + timedelta(minutes=5) for each in records)
        consumer.close()

    def test_a_value_comes_as_the_bytes_that_were_published(self, bus: Bus) -> None:
        values = [
            b'{"text": "caf\xc3\xa9 \\u0000 \\\\ \\"",\n\t"x":1.10}',
            b"[]",
            b'"' + b"x" * 300_000 + b'"',
        ]
        bus.publish([Message("trades", "k\u00e9y", value) for value in values])
        consumer = bus.consumer("store", ["trades"])
        records = take(consumer, 3)
        assert [each.value for each in records] == values
        assert {each.key for each in records} == {"k\u00e9y"}
        consumer.close()

    def test_a_successor_goes_on_exactly_after_the_last_commit(self, bus: Bus) -> None:
        bus.publish([message(n) for n in range(100)])
        first = bus.consumer("store", ["trades"])
        take(first, 40, limit=40)
        first.commit()
        take(first, 30, limit=30)  # and dies before it commits
        first.close()
        second = bus.consumer("store", ["trades"])
        assert [number(each) for each in take(second, 60)] == [*range(40, 100)]
        second.close()

    def test_groups_do_not_disturb_each_other(self, bus: Bus) -> None:
        bus.publish([message(n) for n in range(20)])
        for group in ("store", "lake"):
            consumer = bus.consumer(group, ["trades"])
            assert [number(each) for each in take(consumer, 20)] == [*range(20)]
            consumer.commit()
            consumer.close()

    def test_a_consumer_gets_its_topics_alone(self, bus: Bus) -> None:
        bus.publish([message(n, topic=topic) for n in range(10) for topic in ("trades", "ticker", "book")])
        consumer = bus.consumer("store", ["trades", "book"])
        records = take(consumer, 20)
        for topic in ("trades", "book"):
            assert [number(each) for each in records if each.topic == topic] == [*range(10)]
        assert consumer.poll(100, 0.1) == []
        consumer.close()

    def test_what_is_published_while_a_consumer_waits_wakes_it(self, bus: Bus) -> None:
        consumer = bus.consumer("store", ["trades"])
        bus.publish([message(0)])
        take(consumer, 1)
        timer = threading.Timer(0.2, lambda: bus.publish([message(1)]))
        timer.start()
        began = time.monotonic()
        assert [number(each) for each in consumer.poll(10, PATIENCE)] == [1]
        assert time.monotonic() - began < PATIENCE
        timer.join()
        consumer.close()

    def test_lag_is_what_is_published_and_not_committed(self, bus: Bus) -> None:
        bus.publish([message(n, f"key-{n % 7}") for n in range(50)])
        bus.publish([message(n, topic="ticker") for n in range(5)])
        consumer = bus.consumer("store", ["trades", "ticker"])
        records = take(consumer, 55)
        assert dict(consumer.lag()) == {"trades": 50, "ticker": 5}
        consumer.commit()
        assert dict(consumer.lag()) == {"trades": 0, "ticker": 0}
        assert len(records) == 55
        bus.publish([message(n) for n in range(3)])
        wait_until(lambda: dict(consumer.lag()) == {"trades": 3, "ticker": 0})
        consumer.close()

    def test_a_topic_that_is_rewound_comes_again_from_its_oldest_record(self, bus: Bus) -> None:
        bus.publish([message(n) for n in range(10)] + [message(n, topic="ticker") for n in range(10)])
        consumer = bus.consumer("store", ["trades", "ticker"])
        take(consumer, 20)
        consumer.commit()
        consumer.rewind(["trades"])
        records = take(consumer, 10)
        assert [number(each) for each in records if each.topic == "trades"] == [*range(10)]
        consumer.close()
        successor = bus.consumer("store", ["trades", "ticker"])
        assert [(each.topic, number(each)) for each in take(successor, 10)] == [
            ("trades", n) for n in range(10)
        ]
        assert successor.poll(10, 0.1) == []
        successor.close()

    def test_another_member_takes_over_when_one_leaves_and_nothing_is_missing(self, bus: Bus) -> None:
        bus.publish([message(n, f"key-{n % 5}") for n in range(50)])
        first, second = bus.consumer("store", ["trades"]), bus.consumer("store", ["trades"])
        seen: list[int] = []

        def take_some(consumer: Consumer) -> None:
            seen.extend(number(each) for each in consumer.poll(10, 0.2))
            with suppress(LeaseLost):  # it was given to the other one meanwhile, and comes again there
                consumer.commit()

        def both_take_some() -> bool:
            """A member that does not poll would hold up the group, and may own every partition with a record."""
            take_some(first)
            take_some(second)
            return bool(seen)

        wait_until(both_take_some)
        first.close()
        wait_until(lambda: take_some(second) or set(seen) == {*range(50)})
        second.close()

    def test_a_member_that_has_left_cannot_commit(self, bus: Bus) -> None:
        bus.publish([message(n) for n in range(10)])
        consumer = bus.consumer("store", ["trades"])
        take(consumer, 10)
        consumer.close()
        with pytest.raises(LeaseLost):
            consumer.commit()
        successor = bus.consumer("store", ["trades"])
        assert len(take(successor, 10)) == 10
        successor.close()

    def test_a_reader_sees_what_is_published_from_now_on_and_takes_nothing_from_a_group(
        self, bus: Bus
    ) -> None:
        bus.publish([message(n) for n in range(5)])
        from_now, from_start = bus.reader(["trades"]), bus.reader(["trades"], from_start=True)
        bus.publish([message(n) for n in range(5, 8)])
        assert [number(each) for each in take(from_now, 3)] == [5, 6, 7]
        assert [number(each) for each in take(from_start, 8)] == [*range(8)]
        consumer = bus.consumer("store", ["trades"])
        assert [number(each) for each in take(consumer, 8)] == [*range(8)]
        for each in (from_now, from_start, consumer):
            each.close()

    def test_threads_that_publish_at_once_lose_nothing_and_keep_the_order_of_each_key(self, bus: Bus) -> None:
        def publish(key: str) -> None:
            for begin in range(0, 100, 10):
                bus.publish([message(n, key) for n in range(begin, begin + 10)])

        threads = [threading.Thread(target=publish, args=(f"key-{n}",)) for n in range(4)]
        for each in threads:
            each.start()
        consumer = bus.consumer("store", ["trades"])
        records = take(consumer, 400)
        for each in threads:
            each.join()
        for n in range(4):
            assert [number(each) for each in records if each.key == f"key-{n}"] == [*range(100)]
        consumer.close()
