from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.doubles.event_log import MemoryEventLog
from trading.errors import InvalidValue
from trading.ports import EventLog, Message
from trading.stores.postgres.connection import Database, connect
from trading.stores.postgres.outbox import PostgresEventLog, append, append_many, listen


class EventLogContract:
    """Every event log keeps these promises."""

    @pytest.fixture
    def bus(self) -> EventLog:
        raise NotImplementedError

    def test_events_are_read_in_the_order_of_publishing(self, bus: EventLog) -> None:
        offsets = [bus.publish("candles", f"key-{n}", {"n": n, "list": [1.5, None]}) for n in range(3)]
        events = bus.read("candles", after=0)
        assert [event.offset for event in events] == sorted(offsets) == offsets
        assert [event.payload for event in events] == [{"n": n, "list": [1.5, None]} for n in range(3)]
        assert all(event.at.utcoffset() is not None for event in events)

    def test_a_reader_goes_on_after_its_own_offset(self, bus: EventLog) -> None:
        offsets = [bus.publish("candles", "key", {"n": n}) for n in range(4)]
        assert [event.offset for event in bus.read("candles", after=offsets[0], limit=2)] == offsets[1:3]
        assert bus.read("candles", after=offsets[-1]) == []

    def test_topics_do_not_mix(self, bus: EventLog) -> None:
        bus.publish("candles", "key", {})
        assert bus.read("orders", after=0) == []
        assert bus.newest("orders", "key", "kraken") is None

    def test_the_newest_event_of_a_key_is_found(self, bus: EventLog) -> None:
        for n, key in enumerate(["BTC", "XRP", "BTC", "XRP"]):
            bus.publish("candles", key, {"n": n, "origin": "kraken"})
        bus.publish("candles", "BTC", {"n": 4, "origin": "sandbox"})
        newest = bus.newest("candles", "BTC", "kraken")
        assert newest is not None
        assert newest.payload["n"] == 2
        assert bus.newest("candles", "XRP", "sandbox") is None

    def test_who_waits_is_woken_by_its_own_keys_alone(self, bus: EventLog) -> None:
        before = bus.publish("candles", "BTC", {})
        assert not bus.wait("candles", ["BTC"], before, 0.0)
        with ThreadPoolExecutor(1) as pool:
            woken = pool.submit(bus.wait, "candles", ["BTC", "ETH"], before, 600.0)
            bus.publish("candles", "XRP", {})
            bus.publish("trades", "BTC", {})
            assert not woken.done()
            bus.publish("candles", "BTC", {})
            assert woken.result(timeout=120)
        assert bus.wait("candles", ["BTC"], before, 600.0)  # it is there already

    def test_a_payload_that_is_not_json_is_refused(self, bus: EventLog) -> None:
        with pytest.raises(InvalidValue):
            bus.publish("candles", "key", {"close": float("nan")})
        assert bus.read("candles", after=0) == []


class TestMemoryEventLog(EventLogContract):
    @pytest.fixture
    def bus(self) -> EventLog:
        return MemoryEventLog()


class TestPostgresEventLog(EventLogContract):
    @pytest.fixture
    def bus(self, dsn: str) -> EventLog:
        return PostgresEventLog(dsn)

    def test_no_event_overtakes_one_that_is_not_committed_yet(self, dsn: str, bus: EventLog) -> None:
        with connect(dsn) as first, connect(dsn) as second:
            with first.transaction():
                early = append(first, "candles", "key", {"n": 1})
                second.execute("SET lock_timeout = '20ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    append(second, "candles", "key", {"n": 2})
                assert bus.read("candles", after=0) == []
            with second.transaction():
                late = append(second, "candles", "key", {"n": 2})
        assert [event.offset for event in bus.read("candles", after=0)] == [early, late]
        assert early < late

    def test_an_event_is_rolled_back_with_its_transaction(self, dsn: str, bus: EventLog) -> None:
        with connect(dsn) as connection, connection.transaction(force_rollback=True):
            append(connection, "candles", "key", {})
        assert bus.read("candles", after=0) == []

    def test_publishing_wakes_those_who_listen_to_the_topic(self, dsn: str, bus: EventLog) -> None:
        with connect(dsn) as listener:
            listen(listener, ["candles"])
            bus.publish("trades", "key", {})
            bus.publish("candles", "key", {})
            [notification] = listener.notifies(timeout=10, stop_after=1)
        assert notification.channel == "bus_event.candles"

    def test_many_messages_get_offsets_in_their_order_and_wake_each_topic_once(
        self, dsn: str, bus: EventLog
    ) -> None:
        messages = [
            Message(f"topic-{n % 2}", "key", b'{"n":%d,"text":"a\\\\b\\u0000"}' % n) for n in range(1000)
        ]
        with connect(dsn) as listener, connect(dsn) as connection:
            listen(listener, ["topic-0", "topic-1"])
            with connection.transaction():
                newest = append_many(connection, messages)
                append_many(connection, messages[:2])
            woken = [each.channel for each in listener.notifies(timeout=10, stop_after=2)]
            woken += [each.channel for each in listener.notifies(timeout=0.1)]
        assert sorted(woken) == ["bus_event.topic-0", "bus_event.topic-1"]
        first, second = bus.read("topic-0", 0), bus.read("topic-1", 0)
        stored = sorted([*first, *second], key=lambda event: event.offset)
        assert [event.payload["n"] for event in stored] == [*range(1000), 0, 1]
        assert [event.offset for event in stored][999] == newest
        assert stored[0].payload["text"] == "a\\b\0"

    def test_a_message_that_is_no_json_is_refused_with_all_the_others(self, dsn: str, bus: EventLog) -> None:
        database = Database(dsn)
        for broken in (b'{"n":', b"\xff", b""):
            messages = [Message("candles", "key", b"{}"), Message("candles", "key", broken)]
            with pytest.raises(InvalidValue), database.transaction() as connection:
                append_many(connection, messages)
        assert bus.read("candles", 0) == []
