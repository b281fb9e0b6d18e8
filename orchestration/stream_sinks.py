"""The sinks of the streaming process, built from the settings."""

from datetime import UTC, datetime
from pathlib import Path

from orchestration.bus import open_bus, relay
from orchestration.settings_schema import Settings
from orchestration.stream_stores import build_market_data, build_tape
from orchestration.tables import candle_table
from streaming.bus.postgres import PostgresBus
from streaming.sinks import Sink
from streaming.sinks.analytical import AnalyticalSink
from streaming.sinks.feature_history import StoredCandles
from streaming.sinks.features import FeatureSink
from streaming.sinks.hot import HotSink
from streaming.sinks.hot_refill import StoredRefill
from streaming.sinks.operational import OperationalSink
from streaming.sinks.runner import SinkMetrics, SinkRunner
from trading.live_features import LiveFeatures
from trading.market import Timeframe
from trading.ports.hot import HotTier
from trading.stores.postgres.market_features import PostgresMarketFeatures
from trading.stores.postgres.outbox import PostgresEventLog


def sink_runners(settings: Settings, home: Path, dsn: str, metrics: SinkMetrics) -> list[SinkRunner]:
    """Build one runner per sink; each is a consumer group of its own, of this origin. Nothing is connected yet.

    With a broker one more copies the outbox to it, and the others follow the broker.
    """
    outbox = PostgresBus(dsn)
    bus = open_bus(settings.bus, dsn)
    origin = settings.market.origin
    runners = [SinkRunner(bus, sink, outbox, metrics, origin=origin) for sink in _sinks(settings, home, dsn)]
    if settings.bus.kind == "kafka":
        runners.append(SinkRunner(outbox, relay(settings.bus, dsn), outbox, metrics))
    return runners


def timeframes(settings: Settings) -> list[Timeframe]:
    """Return the timeframes that the stream closes candles of, shortest first: the graph's own is always one."""
    chosen = {*settings.stream.timeframes, settings.market.timeframe, Timeframe.M1}
    return sorted(chosen, key=lambda each: each.duration)


def _sinks(settings: Settings, home: Path, dsn: str) -> list[Sink]:
    market = settings.market
    features = PostgresMarketFeatures(dsn, market.origin)
    return [
        OperationalSink(build_market_data(settings, dsn)),
        AnalyticalSink(build_tape(settings, home)),
        FeatureSink(_live_features(settings, home, dsn, features), features, lambda: datetime.now(UTC)),
        HotSink(
            _hot_tier(settings),
            market.origin,
            StoredRefill(PostgresEventLog(dsn), features, market.origin, market.pairs, timeframes(settings)),
        ),
    ]


def _live_features(
    settings: Settings, home: Path, dsn: str, features: PostgresMarketFeatures
) -> LiveFeatures:
    universe = settings.market.universe
    candles = candle_table(settings, home)
    return LiveFeatures(
        universe=universe,
        timeframes=timeframes(settings),
        costs={pair: settings.costs(pair) for pair in universe.pairs},
        history=lambda: StoredCandles(
            universe, candles, build_market_data(settings, dsn), PostgresEventLog(dsn)
        ),
        stored_until=features.newest_close,
    )


def _hot_tier(settings: Settings) -> HotTier:
    if settings.hot.store == "redis":
        from trading.stores.hot_redis import HotRedis

        return HotRedis(settings.hot.redis_url, settings.market.origin)
    from trading.stores.hot_memory import HotMemory

    return HotMemory()
