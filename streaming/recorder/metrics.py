"""Figures of the stream for Prometheus, in a registry of their own: docs/stream.md lists them."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import generate_latest

PREFIX = "marketloom_stream"
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


class StreamMetrics:
    """Every figure once; what changes by itself (ages, lags) is set when it is asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.messages = self._counter("messages", "Messages of the venue that were read.", ["channel"])
        self.published = self._counter("published", "Messages that are durable on the bus.", ["topic"])
        self.reconnects = self._counter("reconnects", "Connections that ended and are tried again.")
        self.interruptions = self._counter(
            "interruptions", "Times that a channel's data became unknown.", ["channel", "pair"]
        )
        self.checksum_failures = self._counter(
            "checksum_failures",
            "Books whose checksum was wrong: each was dropped and fetched anew.",
            ["pair"],
        )
        self.unreadable = self._counter(
            "unreadable", "Frames that could not be read; they are kept.", ["channel"]
        )
        self.refused = self._counter("refused", "Subscriptions that the venue refused.", ["channel", "pair"])
        self.gaps_opened = self._counter(
            "gaps_opened", "Intervals found in which trades may be missing.", ["pair"]
        )
        self.gaps_repaired = self._counter(
            "gaps_repaired", "Such intervals of which nothing is missing any more.", ["pair"]
        )
        self.gaps_open = self._gauge("gaps_open", "Such intervals that are not repaired.", ["pair"])
        self.restatements = self._counter("restatements", "Closed candles that got a new revision.", ["pair"])
        self.candles = self._counter("candles", "Candles that were closed.", ["pair", "timeframe"])
        self.alerts = self._counter("alerts", "Alerts that were published.", ["kind"])
        self.staleness = self._gauge(
            "staleness_seconds", "Seconds since the channel last sent something.", ["channel", "pair"]
        )
        self.lag = self._gauge(
            "consumer_lag_records", "Records that a consumer has still to read.", ["group", "topic"]
        )
        self.dead_letters = self._counter(
            "dead_letters", "Records that a consumer could not read.", ["group"]
        )
        self.sink_records = self._counter("sink_records", "Records that a consumer has done.", ["group"])
        self.sink_seconds = self._labelled_histogram(
            "sink_seconds", "Duration of a consumer's batch.", ["group"]
        )
        self.queue = self._gauge("queue_messages", "Messages that wait for their commit.")
        self.back_pressure = self._counter(
            "back_pressure_seconds", "Seconds in which the socket had to wait for the database."
        )
        self.commit_retries = self._counter(
            "commit_retries", "Commits that were tried again: PostgreSQL was away."
        )
        self.commit_seconds = self._histogram("commit_seconds", "Duration of a commit.", SECONDS)
        self.batch_messages = self._histogram("batch_messages", "Messages of one commit.", SIZES)
        self.durable_seconds = self._histogram(
            "durable_seconds", "From a batch's oldest message being read to all of it being durable.", SECONDS
        )
        self.cycle_seconds = self._histogram("cycle_seconds", "Duration of one pass over all pairs.", SECONDS)

    def exposition(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"{PREFIX}_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", what, labels, registry=self.registry)

    def _labelled_histogram(self, name: str, what: str, labels: Iterable[str]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", what, labels, registry=self.registry, buckets=SECONDS)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", what, registry=self.registry, buckets=buckets)
