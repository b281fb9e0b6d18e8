"""Resources of assets and sensors by parameter name, built when a run starts."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from ml.news.select import choose_embedder
from ml.sentiment.select import choose_sentiment_model
from orchestration.services import Services
from trading.stores.postgres import PostgresPerformance
from trading.stores.postgres.outbox import PostgresEventLog


def as_resource(build: Callable[[Services], Any], description: str) -> dg.ResourceDefinition:
    """Wrap a plain object for `dg.ResourceParam`: assets know our types, not Dagster's configuration."""
    return dg.ResourceDefinition(lambda _: build(Services.current()), description=description)


RESOURCES: dict[str, Any] = {
    "universe": as_resource(
        lambda services: services.settings.market.universe, "pairs, base timeframe, origin"
    ),
    "known_instruments": as_resource(
        lambda services: services.known_instruments, "instruments as the venue names them"
    ),
    "instrument_file": as_resource(
        lambda services: services.instrument_file, "instruments as they were last stored"
    ),
    "candle_source": as_resource(
        lambda services: services.recorded_candles, "the stream's tape, and what [market] source names"
    ),
    "stream_coverage": as_resource(
        lambda services: services.stream_coverage, "why candles are missing, and which feed gaps are open"
    ),
    "tape": as_resource(lambda services: services.tape, "what the stream recorded, Parquet or ClickHouse"),
    "market_data": as_resource(lambda services: services.market_data, "the stream's candles in PostgreSQL"),
    "candle_store": as_resource(
        lambda services: services.candle_store, "table ohlcv: Parquet lake, or ClickHouse"
    ),
    "feature_store": as_resource(
        lambda services: services.feature_store, "table features: Parquet lake, or ClickHouse"
    ),
    "order_book_store": as_resource(
        lambda services: services.order_book_store, "table order_book: Parquet lake, or ClickHouse"
    ),
    "book_interval": as_resource(lambda services: services.book_interval, "[stream] book_interval"),
    "bus": as_resource(lambda services: PostgresEventLog(services.dsn), "event log in PostgreSQL"),
    "news_source": as_resource(lambda services: services.news_source, "news files, or simulated headlines"),
    "news_store": as_resource(
        lambda services: services.news_store, "articles, vectors and tones in PostgreSQL"
    ),
    "sentiment_model": as_resource(
        lambda services: choose_sentiment_model(services.settings.ollama, services.settings.sentiment.model),
        "Ollama when it answers, else the finance lexicon",
    ),
    "embedder": as_resource(
        lambda services: choose_embedder(services.settings.ollama, services.settings.embeddings.model),
        "Ollama when it answers, else the packaged all-MiniLM-L6-v2",
    ),
    "journal": as_resource(
        lambda services: services.journal, "decisions, orders, fills and balances in PostgreSQL"
    ),
    "venue": as_resource(
        lambda services: services.venue, "the paper exchange, or the sandbox through Kraken's protocol"
    ),
    "account": as_resource(lambda services: services.account, "whose money, and what it opens with"),
    "policies": as_resource(lambda services: services.policies, "policy bundles and the promotion log"),
    "performance_store": as_resource(
        lambda services: PostgresPerformance(services.dsn, services.dataset),
        "scores per model and day in PostgreSQL",
    ),
    "training": as_resource(lambda services: services.settings.policy, "PPO settings"),
    "promotion": as_resource(lambda services: services.settings.promotion, "the gate's rules"),
    "costs": as_resource(lambda services: services.costs, "fee, spread and slippage per pair"),
    "input_reader": as_resource(lambda services: services.input_reader, "everything a decision may see"),
    "market_reader": as_resource(lambda services: services.market_reader, "candles, features and news"),
    "clock": as_resource(lambda services: services.clock, "the account's time, whose it is, and its skew"),
    "arrival": as_resource(lambda services: services.arrival, "when a candle that is read now became known"),
    "executor": as_resource(lambda services: services.order_executor, "carries out orders"),
    "rebalancer": as_resource(lambda services: services.rebalancer, "the next trade towards the targets"),
    "rules": as_resource(lambda services: services.rules, "signals, analyst, consensus and risk limits"),
    "backtester": as_resource(
        lambda services: services.backtester, "strategies, account rules and stored candles"
    ),
    "report_folder": as_resource(lambda services: services.report_folder, "where HTML reports are written"),
    "failure_notes": as_resource(
        lambda services: services.failure_notes, "runs that failed, for `marketloom status`"
    ),
    "pipes": dg.PipesSubprocessClient(),
}
