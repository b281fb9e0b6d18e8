"""How clients of a broker are set up, and its errors in our words."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trading.errors import InvalidSettings, StoreUnreachable

try:
    from confluent_kafka import KafkaError, KafkaException
except ImportError as error:  # an optional dependency
    raise InvalidSettings(
        '[bus] kind = "kafka" needs the package confluent-kafka: pip install "marketloom[kafka]", '
        'or write kind = "postgres"'
    ) from error

LOG = logging.getLogger("marketloom.kafka")
ASK_SECONDS = 5.0  # for one answer of the broker
ACCESS = {  # environment variable -> librdkafka's setting
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_USERNAME": "sasl.username",
    "KAFKA_PASSWORD": "sasl.password",
    "KAFKA_CA_FILE": "ssl.ca.location",
    "KAFKA_CERTIFICATE_FILE": "ssl.certificate.location",
    "KAFKA_KEY_FILE": "ssl.key.location",
}


class BrokerAddress:
    """Where the brokers are, how to log in there, and what a client last said about them."""

    def __init__(self, brokers: str, environment: Mapping[str, str] = os.environ) -> None:
        self.brokers = brokers
        self._access = {
            setting: environment[name] for name, setting in ACCESS.items() if environment.get(name)
        }
        if "sasl.username" in self._access:
            self._access.setdefault("security.protocol", "SASL_SSL")
            self._access.setdefault("sasl.mechanism", "SCRAM-SHA-256")

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return librdkafka's settings; names of `more` are written with _ for their dots."""
        common = {
            "bootstrap.servers": self.brokers,
            "client.id": "marketloom",
            "reconnect.backoff.max.ms": 2000,
            "socket.keepalive.enable": True,
            "topic.metadata.refresh.interval.ms": 5000,  # a topic that the broker lost is found soon after it is back
            "logger": LOG,
            "log_level": 2,  # what goes wrong is raised; the client itself would write a line per attempt to connect
        }
        named = {
            name if name.endswith("_cb") else name.replace("_", "."): value for name, value in more.items()
        }
        return common | self._access | named

    def unreachable(self, error: object) -> StoreUnreachable:
        return StoreUnreachable(
            f"the broker at {self.brokers} does not answer: {error}; what it confirmed is not lost; "
            "see [bus] brokers in marketloom.toml, and KAFKA_USERNAME, KAFKA_PASSWORD ... where it asks for them"
        )

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise StoreUnreachable for what the client raises; InvalidSettings for settings that it does not take."""
        try:
            yield
        except KafkaException as error:
            reason = error.args[0] if error.args else error
            if isinstance(reason, KafkaError) and reason.code() == KafkaError._INVALID_ARG:
                raise InvalidSettings(
                    f"the Kafka client does not take its settings: {reason.str()}"
                ) from error
            raise self.unreachable(reason.str() if isinstance(reason, KafkaError) else reason) from error
        except TimeoutError as error:  # of a future; its text is empty
            raise self.unreachable(f"no answer within {ASK_SECONDS:g} s") from error
