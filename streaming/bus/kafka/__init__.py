"""The bus as topics of a Kafka broker: Redpanda, or any other that speaks the protocol."""

from streaming.bus.kafka.bus import KafkaBus

__all__ = ["KafkaBus"]
