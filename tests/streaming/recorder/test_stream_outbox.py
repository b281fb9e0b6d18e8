"""The stream's commits in PostgreSQL: all or nothing, once, and never by a process whose lease was taken."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from trading.errors import AlreadyRuns, LeaseLost, StoreUnreachable
from trading.market import Pair
from trading.ports import Message
from trading.stores.postgres import stream
from trading.stores.postgres.stream import StreamOutbox, read_lease
from trading.stream_checkpoint import Checkpoint

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
EMPTY = Checkpoint(b"{}", b"{}")
FIRST = "account paper-main-kraken, host a, process 1"


def message(number: int, topic: str = "trades") -> Message:
    return Message(topic, "BTC-USDT", json.dumps({"number": number}).encode())


@contextmanager
def outbox(dsn: str, holder: str = FIRST, origin: str = "kraken") -> Iterator[StreamOutbox]:
    made = StreamOutbox(dsn, origin, holder)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SECONDS_TO_DIE", 0.2)


def numbers(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute('SELECT payload FROM bus_event ORDER BY "offset"')
        return [payload["number"] for (payload,) in rows]


def end_session(dsn: str, process: int) -> None:
    """Do what a restart of the server or a broken network does to a session."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))


def backend(box: StreamOutbox) -> int:
    return box._backend


def test_messages_and_checkpoints_are_there_together(dsn: str) -> None:
    with outbox(dsn) as box:
        assert box.open() == {}
        box.commit([message(1), message(2)], {BTC: Checkpoint(b'{"s":1}', b'{"a":1}')})
        box.commit(
            [message(3)], {BTC: Checkpoint(b'{"s":1}', b'{"a":2}'), XRP: Checkpoint(b"{}", b'{"b":1}')}
        )
        assert numbers(dsn) == [1, 2, 3]
    with outbox(dsn) as again:
        assert again.open() == {
            BTC: Checkpoint(b'{"s":1}', b'{"a":2}'),
            XRP: Checkpoint(b"{}", b'{"b":1}'),
        }
        again.commit([], {BTC: Checkpoint(b'{"s":2}', b'{"a":3}')})
        again.commit([], {BTC: Checkpoint(b'{"s":3}', b'{"a":4}')})
    with outbox(dsn) as third:
        assert third.open()[BTC] == Checkpoint(b'{"s":3}', b'{"a":4}')


def test_nothing_of_a_batch_is_there_when_a_part_of_it_is_refused(dsn: str) -> None:
    with outbox(dsn) as box:
        box.open()
        with pytest.raises(Exception, match="json"):
            box.commit([message(1), Message("trades", "BTC-USDT", b"no json")], {BTC: EMPTY})
        assert numbers(dsn) == []
        box.commit([message(2)], {})
        assert numbers(dsn) == [2]
    with outbox(dsn) as again:
        assert again.open() == {}


def test_a_second_stream_is_refused_and_told_who_runs(dsn: str) -> None:
    with outbox(dsn) as first:
        first.open()
        second = StreamOutbox(dsn, "kraken", "account other, host b, process 2")
        with pytest.raises(AlreadyRuns, match="account paper-main-kraken, host a, process 1, since 20"):
            second.open()
        first.commit([message(1)], {})
        assert numbers(dsn) == [1]


def test_streams_of_two_venues_run_side_by_side(dsn: str) -> None:
    with outbox(dsn) as kraken, outbox(dsn, origin="sandbox") as sandbox:
        kraken.open()
        sandbox.open()
        kraken.commit([message(1)], {BTC: Checkpoint(b"{}", b'{"of":"kraken"}')})
        sandbox.commit([message(2)], {BTC: Checkpoint(b"{}", b'{"of":"sandbox"}')})
    with outbox(dsn) as again:
        assert again.open() == {BTC: Checkpoint(b"{}", b'{"of":"kraken"}')}


def test_after_the_first_one_is_gone_another_takes_over_at_once(dsn: str) -> None:
    with outbox(dsn) as first, outbox(dsn, "account x, host b, process 2") as second:
        first.open()
        end_session(dsn, backend(first))  # as after kill -9
        second.open()
        assert second.epoch == first.epoch + 1


def test_a_stream_that_stood_still_cannot_commit_after_another_took_over(dsn: str) -> None:
    with outbox(dsn) as first, outbox(dsn, "second") as second:
        first.open()
        end_session(dsn, backend(first))
        second.open()
        second.commit([message(2)], {BTC: Checkpoint(b"{}", b'{"newer":1}')})
        with pytest.raises(StoreUnreachable):
            first.commit([message(1)], {BTC: Checkpoint(b"{}", b'{"older":1}')})
        with pytest.raises(LeaseLost, match="run by second"):
            first.commit([message(1)], {BTC: Checkpoint(b"{}", b'{"older":1}')})
        assert numbers(dsn) == [2]


def test_an_older_epoch_commits_nothing_though_its_session_lives(dsn: str) -> None:
    with outbox(dsn) as box:
        box.open()
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE stream_leases SET epoch = epoch + 1")
        with pytest.raises(LeaseLost, match="taken over"):
            box.commit([message(1)], {BTC: EMPTY})
        assert numbers(dsn) == []


def test_a_takeover_that_came_and_went_is_noticed(dsn: str) -> None:
    with outbox(dsn) as first:
        first.open()
        end_session(dsn, backend(first))
        with outbox(dsn, "second") as second:
            second.open()
            second.commit([message(2)], {BTC: Checkpoint(b"{}", b'{"newer":1}')})
        with pytest.raises(StoreUnreachable):
            first.commit([message(1)], {})
        with pytest.raises(
            LeaseLost
        ):  # the lock is free, but what the second one published is not in our memory
            first.commit([message(1)], {})
        assert numbers(dsn) == [2]


def test_after_a_lost_session_the_same_batch_is_committed_once(dsn: str) -> None:
    with outbox(dsn) as box:
        box.open()
        box.commit([message(1)], {})
        end_session(dsn, backend(box))
        with pytest.raises(StoreUnreachable):
            box.commit([message(2)], {})
        box.commit([message(2)], {})
        assert numbers(dsn) == [1, 2]
        assert box.epoch == 2


def test_a_commit_whose_answer_was_lost_is_not_repeated(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with outbox(dsn) as box:
        box.open()
        append = stream.append_many

        def commit_and_lose_the_answer(connection: Any, messages: Any) -> int:
            """Append, and break the connection once the server has committed."""
            offset = append(connection, messages)
            connection.execute("COMMIT")
            connection.pgconn.finish()
            return offset

        with monkeypatch.context() as patch:
            patch.setattr(stream, "append_many", commit_and_lose_the_answer)
            with pytest.raises(StoreUnreachable):
                box.commit([message(1)], {BTC: EMPTY})
        before = numbers(dsn)
        box.commit([message(1)], {BTC: EMPTY})
        box.commit([message(2)], {})
        assert numbers(dsn) == [1, 2]
        assert before == [1]


def test_the_lease_says_who_streams_and_where_it_answers(dsn: str) -> None:
    assert read_lease(dsn, "kraken") is None
    with outbox(dsn) as box:
        box.open()
        box.announce("http://127.0.0.1:9464")
        lease = read_lease(dsn, "kraken")
        assert lease is not None
        assert (lease.holder, lease.address, lease.running) == (FIRST, "http://127.0.0.1:9464", True)
        end_session(dsn, backend(box))
        with suppress(StoreUnreachable):
            box.commit([], {})
        box.commit([message(1)], {})
        again = read_lease(dsn, "kraken")
        assert again is not None
        assert again.address == "http://127.0.0.1:9464"
    lease = read_lease(dsn, "kraken")
    assert lease is not None
    assert not lease.running


def test_a_batch_in_one_statement_is_as_fenced_as_one_with_gaps(dsn: str) -> None:
    with outbox(dsn) as box:
        box.open()
        for number in range(3):  # the first writes the pair's checkpoint for the first time
            box.commit([message(number)], {BTC: Checkpoint(b'{"s":1}', b'{"n":%d}' % number)})
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE stream_leases SET epoch = epoch + 1")
        with pytest.raises(LeaseLost):
            box.commit([message(3)], {BTC: Checkpoint(b'{"s":2}', b'{"n":3}')})
    assert numbers(dsn) == [0, 1, 2]
    with outbox(dsn) as box:
        assert box.open() == {BTC: Checkpoint(b'{"s":1}', b'{"n":2}')}
