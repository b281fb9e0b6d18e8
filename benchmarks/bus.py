"""Records per second through the bus, both ways, beside the plainest way to move the same rows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from confluent_kafka import Consumer, Producer

from benchmarks.row import Benchmark, Row, medians, row
from orchestration.postgres.embedded import EmbeddedPostgres
from streaming.bus.kafka import KafkaBus
from streaming.bus.postgres import PostgresBus
from tests.doubles.broker import running_broker
from trading.ports import Bus, Message
from trading.stores.postgres import migrate

RECORDS, BATCH, ROUNDS = 50_000, 1000, 3
VALUE = (
    b'{"schema":"trade","version":1,"origin":"kraken","pair":"BTC/USDT","trade_id":%d,"side":"buy","price":61234.5,'
    b'"quantity":0.0125,"at":"2024-03-01T00:00:00.123456Z","known_at":"2024-03-01T00:00:00.234567Z","backfilled":false}'
)
KEYS = ("BTC-USDT", "XRP-USDT", "XRP-BTC")
MESSAGES = [Message("trades", KEYS[n % 3], VALUE % n) for n in range(RECORDS)]
BATCHES = [MESSAGES[begin : begin + BATCH] for begin in range(0, RECORDS, BATCH)]


def bus_postgres() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, EmbeddedPostgres(Path(name)) as server:
        migrate(server.dsn)
        bus = PostgresBus(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE floor (LIKE bus_event INCLUDING ALL)")
            spent = medians(
                {
                    "publish": lambda: _publish(bus),
                    "copy": lambda: _copy(connection),
                    "consume": _Follower(bus),
                    "select": lambda: _select(connection),
                },
                ROUNDS,
            )
        bus.close()
    yield _row(
        "bus_postgres", "published", spent["publish"], "COPY of the same batches", spent["copy"], "psycopg"
    )
    peer = "plain SELECT of the same rows"
    yield _row("bus_postgres", "consumed and committed", spent["consume"], peer, spent["select"], "psycopg")


def bus_kafka() -> Iterator[Row]:
    with running_broker() as broker:
        bus = KafkaBus(broker.address, {}, session_seconds=1.0)
        bus.publish(MESSAGES[:1])
        producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 2, "compression.type": "lz4"})
        spent = medians(
            {
                "publish": lambda: _publish(bus),
                "raw": lambda: _produce(producer),
                "consume": _Follower(bus),
                "raw consume": _RawFollower(broker.address),
            },
            ROUNDS,
        )
        bus.close()
    peer = "confluent-kafka alone, without idempotence"
    yield _row("bus_kafka", "published", spent["publish"], peer, spent["raw"], "confluent-kafka")
    peer = "confluent-kafka alone, without commits"
    yield _row(
        "bus_kafka", "consumed and committed", spent["consume"], peer, spent["raw consume"], "confluent-kafka"
    )


def _publish(bus: Bus) -> None:
    for batch in BATCHES:
        bus.publish(batch)


def _copy(connection: psycopg.Connection) -> None:
    """Commit the same batches as COPY does it, as offsets and times of the server."""
    for batch in BATCHES:
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY floor (topic, key, payload, at) FROM STDIN") as copy,
        ):
            for each in batch:
                copy.write_row((each.topic, each.key, each.value.decode(), "2024-03-01T00:00:00Z"))


def _select(connection: psycopg.Connection) -> None:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            'SELECT topic, key, payload::text, "offset", at FROM floor ORDER BY "offset" LIMIT %s', (RECORDS,)
        )
        assert len(cursor.fetchall()) == RECORDS


class _Follower:
    """Takes the next RECORDS of the topic, in committed batches; the group is joined once."""

    def __init__(self, bus: Bus) -> None:
        self._consumer = bus.consumer("bench", ["trades"])

    def __call__(self) -> None:
        taken = 0
        while taken < RECORDS:
            taken += len(self._consumer.poll(BATCH, 10.0))
            self._consumer.commit()


class _RawFollower:
    def __init__(self, address: str) -> None:
        settings = {"bootstrap.servers": address, "group.id": "raw", "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**settings, "enable.auto.commit": False, "session.timeout.ms": 6000})
        self._consumer.subscribe(["trades"])

    def __call__(self) -> None:
        taken = 0
        while taken < RECORDS:
            taken += len(self._consumer.consume(BATCH, 1.0))


def _produce(producer: Producer) -> None:
    for batch in BATCHES:
        for each in batch:
            producer.produce(each.topic, each.value, each.key.encode())
        producer.flush()


def _row(identity: str, what: str, ours: float, peer: str, theirs: float, package: str) -> Row:
    return row(
        identity, f"records {what}, {BATCH} at a time", RECORDS / ours, "records/s", peer, RECORDS / theirs,
        target=">= 0.5", packages=(package,),
    )  # fmt: skip


BENCHMARKS: dict[str, Benchmark] = {"bus_postgres": bus_postgres, "bus_kafka": bus_kafka}
