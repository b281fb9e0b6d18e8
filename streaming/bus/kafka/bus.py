"""Publishing to a broker: idempotent, confirmed by all replicas, each call durable when it returns."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Producer

from streaming.bus.kafka.client import BrokerAddress
from streaming.bus.kafka.consumer import KafkaConsumer, KafkaReader, values_at
from streaming.bus.kafka.topics import Topics
from trading.ports import Message

DELIVERY_SECONDS = 30.0  # after which a message that no broker confirmed counts as not published
SESSION_SECONDS = 6.0  # after which a silent member of a group has lost its partitions


class KafkaBus:
    """Threads share it. SASL and TLS are set in the environment, see `streaming.bus.kafka.client.ACCESS`."""

    def __init__(
        self,
        brokers: str,
        environment: Mapping[str, str] = os.environ,
        delivery_seconds: float = DELIVERY_SECONDS,
        session_seconds: float = SESSION_SECONDS,
    ) -> None:
        self._address = BrokerAddress(brokers, environment)
        self._delivery_seconds, self._session_seconds = delivery_seconds, session_seconds
        self._topics = Topics(self._address)
        self._turn = threading.Lock()
        self._producer: Any = None

    def publish(self, messages: Sequence[Message]) -> None:
        self.deliver(messages)

    def deliver(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """Publish; returns partition and offset of each message. Raises as `publish` does."""
        with self._turn:
            self._topics.ensure({message.topic for message in messages})
            places: list[tuple[int, int] | None] = [None] * len(messages)
            failures: list[Any] = []
            with self._address.translate_errors():
                producer = self._open_producer()
                for index, message in enumerate(messages):
                    self._produce(producer, message, _Confirmation(index, places, failures))
                producer.flush(self._delivery_seconds + 5)
            confirmed = [place for place in places if place is not None]
            if len(confirmed) < len(messages):
                self._give_up()
                reason = failures[0] if failures else "no confirmation came"
                raise self._address.unreachable(
                    f"{len(messages) - len(confirmed)} of {len(messages)} messages were not confirmed ({reason})"
                )
            return confirmed

    def consumer(self, group: str, topics: Sequence[str]) -> KafkaConsumer:
        self._topics.ensure(topics)
        return KafkaConsumer(self._address, group, topics, self._session_seconds)

    def reader(self, topics: Sequence[str], from_start: bool = False) -> KafkaReader:
        self._topics.ensure(topics)
        return KafkaReader(self._address, topics, from_start)

    def values_at(self, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], bytes]:
        """Return what lies at an offset of each (topic, partition); what the broker does not have is left out."""
        return values_at(self._address, offsets)

    def close(self) -> None:
        with self._turn:
            if self._producer is not None:
                self._give_up()

    def _open_producer(self) -> Any:
        if self._producer is None:
            self._producer = Producer(
                self._address.settings(
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=2,  # all of a call wait together; a single one hardly waits
                    compression_type="lz4",
                    partitioner="murmur2_random",  # as Java's: every client finds a key in the same partition
                    delivery_timeout_ms=int(1000 * self._delivery_seconds),
                    topic_metadata_propagation_max_ms=5000,
                )
            )
        return self._producer

    def _produce(self, producer: Any, message: Message, confirm: "_Confirmation") -> None:
        while True:
            try:
                producer.produce(message.topic, message.value, message.key.encode(), on_delivery=confirm)
                break
            except BufferError:  # its queue is full: wait until some are confirmed
                producer.poll(0.1)
        producer.poll(0)

    def _give_up(self) -> None:
        """Drop what waits, so that it cannot arrive after newer messages; a new producer numbers its own anew."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=True)
        self._producer.flush(1)
        self._producer = None
        self._topics.forget()


class _Confirmation:
    """Notes where a message came to lie, or why it did not."""

    def __init__(self, index: int, places: list[tuple[int, int] | None], failures: list[Any]) -> None:
        self._index, self._places, self._failures = index, places, failures

    def __call__(self, error: Any, message: Any) -> None:
        if error is None:
            self._places[self._index] = (message.partition(), message.offset())
        else:
            self._failures.append(error.str())
