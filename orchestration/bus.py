"""The bus of the settings."""

from orchestration.settings_schema import BusSettings
from streaming.bus.postgres import PostgresBus
from streaming.messages import SCHEMAS
from streaming.sinks import Sink
from trading.candle_events import CANDLE_CLOSED
from trading.errors import InvalidValue
from trading.ports import Bus


def open_bus(settings: BusSettings, dsn: str) -> Bus:
    """Return the bus that sinks follow; with a broker the relay of the stream fills it from the outbox at `dsn`."""
    if settings.kind == "postgres":
        return PostgresBus(dsn)
    from streaming.bus.kafka import KafkaBus  # an optional dependency

    return KafkaBus(settings.brokers)


def relay(settings: BusSettings, dsn: str) -> Sink:
    """Return the sink of the outbox that copies it to the broker of the settings."""
    from streaming.bus.kafka import KafkaBus
    from streaming.bus.relay import KafkaRelay

    return KafkaRelay(dsn, KafkaBus(settings.brokers))


def topics(settings: BusSettings) -> tuple[str, ...]:
    """Return the topics that can be followed."""
    return (*SCHEMAS, CANDLE_CLOSED) if settings.kind == "postgres" else tuple(SCHEMAS)


def check_topic(settings: BusSettings, topic: str) -> str:
    """Return the topic, or raise InvalidValue with those that there are."""
    if topic not in topics(settings):
        raise InvalidValue(f"no topic {topic!r} on the bus: choose one of {', '.join(topics(settings))}")
    return topic
