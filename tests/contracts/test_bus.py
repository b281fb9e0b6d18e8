"""The contract of the bus in memory and in PostgreSQL, and what the latter adds: fencing, restarts, standing by."""

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from streaming.bus.postgres import PostgresBus
from tests.contracts.bus_contract import BusContract, message, number, take
from tests.doubles.bus import MemoryBus
from trading.errors import InvalidValue, LeaseLost, StoreUnreachable
from trading.ports import Bus, Message
from trading.stores.postgres.connection import connect
from trading.stores.postgres.outbox import append_many


class TestMemoryBus(BusContract):
    @pytest.fixture
    def bus(self) -> Bus:
        return MemoryBus()

    def test_what_every_group_has_read_is_kept_up_to_a_limit(self) -> None:
        bus = MemoryBus(keep=10)
        consumers = [bus.consumer(group, ["trades"]) for group in ("store", "lake")]
        bus.publish([message(n) for n in range(100)])
        take(consumers[0], 100)
        consumers[0].commit()
        assert len(take(bus.reader(["trades"], from_start=True), 100)) == 100
        take(consumers[1], 100)
        consumers[1].commit()
        assert [number(each) for each in take(bus.reader(["trades"], from_start=True), 10)] == [
            *range(90, 100)
        ]


def end_sessions(dsn: str) -> None:
    """End every other session of the server, as a restart would."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


class TestPostgresBus(BusContract):
    @pytest.fixture
    def bus(self, dsn: str) -> Iterator[Bus]:
        bus = PostgresBus(dsn)
        yield bus
        bus.close()

    def test_one_member_of_a_group_is_active_and_the_others_stand_by(self, bus: Bus) -> None:
        bus.publish([message(n) for n in range(10)])
        first, second = bus.consumer("store", ["trades"]), bus.consumer("store", ["trades"])
        take(first, 5, limit=5)
        assert second.poll(10, 0.3) == []
        first.close()
        assert [number(each) for each in take(second, 10)] == [*range(10)]
        second.close()

    def test_a_member_that_lost_its_session_cannot_commit_what_another_has_taken_over(
        self, dsn: str, bus: Bus
    ) -> None:
        bus.publish([message(n) for n in range(10)])
        first, second = bus.consumer("store", ["trades"]), bus.consumer("store", ["trades"])
        take(first, 10)
        end_sessions(dsn)
        assert [number(each) for each in take(second, 4, limit=4)] == [0, 1, 2, 3]
        second.commit()
        with pytest.raises(LeaseLost, match="store"):
            first.commit()
        first.commit()  # nothing is left to be committed
        assert first.poll(10, 0.1) == []
        assert [number(each) for each in take(second, 6)] == [*range(4, 10)]
        first.close()
        second.close()

    def test_a_commit_is_refused_once_the_session_is_lost(self, dsn: str, bus: Bus) -> None:
        bus.publish([message(n) for n in range(10)])
        consumer = bus.consumer("store", ["trades"])
        take(consumer, 10)
        end_sessions(dsn)
        assert dict(consumer.lag()) == {"trades": 10}
        with pytest.raises(LeaseLost):
            consumer.commit()
        assert [number(each) for each in take(consumer, 10)] == [*range(10)]
        consumer.commit()
        assert dict(consumer.lag()) == {"trades": 0}
        consumer.close()

    def test_a_member_goes_on_after_its_last_commit_when_the_server_was_away(
        self, dsn: str, bus: Bus
    ) -> None:
        consumer = bus.consumer("store", ["trades"])
        bus.publish([message(n) for n in range(10)])
        take(consumer, 5, limit=5)
        consumer.commit()
        end_sessions(dsn)
        bus.publish([message(10)])  # opens a connection of its own
        with pytest.raises(StoreUnreachable):
            consumer.poll(10, 0)
        assert [number(each) for each in take(consumer, 6)] == [*range(5, 11)]
        consumer.close()

    def test_a_server_that_is_away_is_named(self) -> None:
        away = PostgresBus("postgresql://nobody@127.0.0.1:9/none")
        for call in (
            lambda: away.publish([message(1)]),
            lambda: away.consumer("store", ["trades"]).poll(1, 0),
            lambda: away.reader(["trades"]),
        ):
            with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:9/none"):
                call()

    def test_a_killed_process_frees_its_group(self, dsn: str, bus: Bus) -> None:
        bus.publish([message(n) for n in range(10)])
        code = (
            "import sys; from streaming.bus.postgres import PostgresBus\n"
            f"consumer = PostgresBus({dsn!r}).consumer('store', ['trades'])\n"
            "print(len(consumer.poll(7, 10)), flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "7\n"
            successor = bus.consumer("store", ["trades"])
            assert successor.poll(10, 0.3) == []
            process.kill()
            assert [number(each) for each in take(successor, 10)] == [*range(10)]
        successor.close()

    def test_all_messages_of_a_call_are_published_or_none(self, bus: Bus) -> None:
        with pytest.raises(InvalidValue):
            bus.publish([message(1), Message("trades", "key", b"{broken")])
        reader = bus.reader(["trades"], from_start=True)
        assert reader.poll(10, 0) == []
        reader.close()

    def test_what_a_transaction_has_not_committed_yet_is_not_seen_and_never_skipped(
        self, dsn: str, bus: Bus
    ) -> None:
        consumer = bus.consumer("store", ["trades"])
        with connect(dsn) as connection, connection.transaction():
            append_many(connection, [message(0)])
            assert consumer.poll(10, 0.1) == []
        bus.publish([message(1)])
        assert [number(each) for each in take(consumer, 2)] == [0, 1]
        consumer.close()

    def test_a_group_that_waits_leaves_no_notifications_behind(self, bus: Bus) -> None:
        consumer = bus.consumer("store", ["trades"])
        for n in range(50):
            bus.publish([message(n, topic="ticker")])
            bus.publish([message(n)])
            take(consumer, 1)
        connection = consumer._session.connection  # type: ignore[attr-defined]
        assert len(connection._notifies_backlog) <= 2
        consumer.close()


def test_the_members_of_a_group_are_listed_with_where_they_run(dsn: str) -> None:
    bus = PostgresBus(dsn)
    bus.publish([message(1)])
    consumer = bus.consumer("store", ["trades"])
    take(consumer, 1)
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            'SELECT "group", topic, "offset", holder <> \'\' FROM bus_groups'
        ).fetchall()
    assert rows == [("store", "trades", 0, True)]
    consumer.close()
