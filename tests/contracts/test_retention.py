"""How long the outbox keeps what."""

from datetime import UTC, datetime, timedelta

import psycopg

from orchestration.outbox_retention import prune_and_alert
from orchestration.settings_schema import BusSettings
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode
from tests.contracts.bus_contract import message, number, take
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair
from trading.ports import Message
from trading.stores.postgres.outbox import PostgresEventLog
from trading.stores.postgres.retention import HELD, prune
from trading.stores.postgres.stream import StreamOutbox

DAY = timedelta(days=1)
BTC = Pair("BTC", "USDT")


def age(dsn: str, by: timedelta, table: str = "bus_event", column: str = "at") -> None:
    """Make everything that is there older."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"UPDATE {table} SET {column} = {column} - %s".encode(), (by,))


def remaining(dsn: str) -> list[int]:
    bus = PostgresBus(dsn)
    reader = bus.reader(["trades"], from_start=True)
    records = reader.poll(100_000, 0)
    reader.close()
    bus.close()
    return [number(each) for each in records]


def read(dsn: str, group: str, count: int) -> None:
    consumer = PostgresBus(dsn).consumer(group, ["trades"])
    take(consumer, count, limit=count)
    consumer.commit()
    consumer.close()


def test_what_every_group_has_read_goes_once_it_is_old_enough(dsn: str) -> None:
    bus = PostgresBus(dsn)
    bus.publish([message(n) for n in range(25_000)])
    read(dsn, "store", 24_000)
    read(dsn, "lake", 25_000)
    assert prune(dsn, DAY).deleted == {}
    age(dsn, 2 * DAY)
    bus.publish([message(n) for n in range(25_000, 25_010)])
    pruned = prune(dsn, DAY)
    assert (pruned.deleted, pruned.unread, pruned.forgotten, pruned.problem) == (
        {"trades": 24_000},
        {},
        [],
        "",
    )
    assert remaining(dsn) == [*range(24_000, 25_010)]
    consumer = bus.consumer("store", ["trades"])
    assert [number(each) for each in take(consumer, 1010, limit=1010)] == [*range(24_000, 25_010)]
    consumer.close()
    bus.close()


def test_a_topic_that_no_group_reads_is_kept_for_the_retention(dsn: str) -> None:
    bus = PostgresBus(dsn)
    bus.publish([message(n) for n in range(5)])
    age(dsn, 2 * DAY)
    bus.publish([message(5)])
    assert prune(dsn, DAY).deleted == {"trades": 5}
    assert remaining(dsn) == [5]
    bus.close()


def test_a_group_that_does_not_read_holds_messages_up_to_a_bound_and_it_is_said(dsn: str) -> None:
    bus = PostgresBus(dsn)
    bus.publish([message(n) for n in range(10)])
    read(dsn, "store", 4)
    age(dsn, HELD * DAY - timedelta(hours=1))
    assert prune(dsn, DAY).deleted == {"trades": 4}
    age(dsn, timedelta(hours=2))
    pruned = prune(dsn, DAY)
    assert pruned.unread == pruned.deleted == {"trades": 6}
    assert "6 of trades" in pruned.problem
    assert remaining(dsn) == []
    bus.close()


def test_a_group_that_nobody_has_used_for_long_is_forgotten_and_a_waiting_one_is_not(dsn: str) -> None:
    bus = PostgresBus(dsn)
    bus.publish([message(n) for n in range(10)])
    for group in ("gone", "waiting"):
        read(dsn, group, 4)
    age(dsn, (HELD + 1) * DAY, "bus_groups", "committed_at")
    assert prune(dsn, DAY).forgotten == []  # it has nothing to commit, but is there
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE bus_groups SET seen_at = seen_at - %s WHERE \"group\" = 'gone'", ((HELD + 1) * DAY,)
        )
    assert prune(dsn, DAY).forgotten == ["gone"]
    bus.close()


def test_the_newest_closed_candle_of_each_key_stays_for_ever(dsn: str) -> None:
    log = PostgresEventLog(dsn)
    for dataset in ("kraken-1m", "kraken-1h"):
        for hour in range(3):
            event = candle_closed(dataset, BTC, datetime(2024, 3, 1, hour, tzinfo=UTC))
            log.publish(CANDLE_CLOSED, event.key, event.values)
    age(dsn, 100 * DAY)
    assert prune(dsn, DAY).deleted == {CANDLE_CLOSED: 4}
    for dataset in ("kraken-1m", "kraken-1h"):
        newest = log.newest(CANDLE_CLOSED, f"{dataset}:BTC-USDT")
        assert newest is not None
        assert newest.payload["close_time"] == "2024-03-01T02:00:00+00:00"


def test_the_loss_of_unread_messages_is_an_alert(dsn: str) -> None:
    bus = PostgresBus(dsn)
    bus.publish([message(n) for n in range(10)])
    read(dsn, "store", 4)
    age(dsn, (HELD + 1) * DAY)
    settings = BusSettings(kind="postgres", brokers="none", retention_hours=24)
    prune_and_alert(settings, dsn)
    reader = bus.reader([ALERTS], from_start=True)
    [record] = reader.poll(10, 0)
    letter = decode(record, AlertMessage)
    assert (letter.source, letter.kind, letter.severity) == ("stream", "retention", "error")
    assert "6 of trades" in letter.text
    reader.close()
    bus.close()


def test_the_groups_of_a_venue_that_is_not_streamed_any_more_hold_nothing_of_another_one(dsn: str) -> None:
    bus = PostgresBus(dsn)
    outbox = StreamOutbox(dsn, "sandbox", "this test")
    outbox.open()
    outbox.close()
    of = {
        origin: Message("trades", "BTC-USDT", b'{"origin": "%b"}' % origin.encode())
        for origin in ("kraken", "sandbox")
    }
    bus.publish([of["sandbox"], of["kraken"]])
    read(dsn, "tape.sandbox", 1)
    read(dsn, "my.program", 1)
    bus.publish([of["kraken"], of["sandbox"], of["kraken"]])
    prune(dsn, DAY)
    own, others = bus.consumer("tape.sandbox", ["trades"]), bus.consumer("my.program", ["trades"])
    assert [each.value for each in take(own, 2, limit=10)] == [of["sandbox"].value, of["kraken"].value]
    assert len(take(others, 4, limit=10)) == 4
    own.commit()
    bus.publish([of["kraken"]] * 3)
    prune(dsn, DAY)
    assert own.lag() == {"trades": 0}
    for consumer in (own, others):
        consumer.close()
    bus.close()
