"""Topics of a broker: made where it allows that."""

import threading
from collections.abc import Collection

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streaming.bus.kafka.client import ASK_SECONDS, LOG, BrokerAddress

PARTITIONS = 6  # of a new topic; a key is always in the same one


class Topics:
    """Makes sure that topics are there, each once while the broker does not lose its memory."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._turn = threading.Lock()
        self._client: AdminClient | None = None
        self._known: set[str] = set()

    def ensure(self, topics: Collection[str]) -> None:
        """Create those that are missing. StoreUnreachable; a broker that forbids it is left to say so when asked."""
        with self._turn:
            if not set(topics) - self._known:
                return
            with self._address.translate_errors():
                if self._client is None:
                    self._client = AdminClient(self._address.settings())
                existing = self._client.list_topics(timeout=ASK_SECONDS).topics
                missing = [topic for topic in topics if topic not in existing]
                self._create(self._client, missing)
            self._known |= set(topics)

    def forget(self) -> None:
        """Look again before the next use: the broker may have lost its topics."""
        with self._turn:
            self._known.clear()

    def _create(self, client: AdminClient, topics: list[str]) -> None:
        if not topics:
            return
        # -1: as many replicas as the broker's own setting says
        created = client.create_topics(
            [NewTopic(topic, PARTITIONS, replication_factor=-1) for topic in topics]
        )
        for topic, done in created.items():
            try:
                done.result(ASK_SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    LOG.warning("topic %s could not be created: %s", topic, error.args[0].str())
