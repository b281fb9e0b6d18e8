"""Resources of assets and sensors by parameter name, built when a run starts."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from orchestration.services import Services


def _as_resource(build: Callable[[Services], Any], description: str) -> dg.ResourceDefinition:
    """Wrap a plain object for `dg.ResourceParam`: assets know our types, not Dagster's configuration."""
    return dg.ResourceDefinition(lambda _: build(Services.current()), description=description)


def _market_monitor(services: Services) -> Any:
    from orchestration.model_agents import build_monitor  # loading the graph must not import the clients
    from orchestration.monitoring import StoredMarket

    return StoredMarket(services, build_monitor(services.settings, services.model_clients))


_BUILDS: dict[str, tuple[Callable[[Services], Any], str]] = {
    "universe": (lambda services: services.settings.market.universe, "pairs, base timeframe, origin"),
    "known_instruments": (lambda services: services.known_instruments, "instruments as the venue names them"),
    "instrument_file": (lambda services: services.instrument_file, "instruments as they were last stored"),
    "candle_source": (
        lambda services: services.recorded_candles,
        "the stream's tape, and what [market] source names",
    ),
    "stream_coverage": (
        lambda services: services.stream_coverage,
        "why candles are missing, and which feed gaps are open",
    ),
    "tape": (lambda services: services.tape, "what the stream recorded, Parquet or ClickHouse"),
    "market_data": (lambda services: services.market_data, "the stream's candles in PostgreSQL"),
    "candle_store": (lambda services: services.candle_store, "table ohlcv: Parquet lake, or ClickHouse"),
    "feature_store": (lambda services: services.feature_store, "table features: Parquet lake, or ClickHouse"),
    "order_book_store": (
        lambda services: services.order_book_store,
        "table order_book: Parquet lake, or ClickHouse",
    ),
    "book_interval": (lambda services: services.book_interval, "[stream] book_interval"),
    "bus": (lambda services: services.bus, "event log in PostgreSQL"),
    "news_source": (lambda services: services.news_source, "news files, feeds, or simulated headlines"),
    "news_store": (lambda services: services.news_store, "articles and tones in PostgreSQL"),
    "news_index": (lambda services: services.news_index, "words and vectors of news in PostgreSQL"),
    "news_retriever": (lambda services: services.news_retriever, "finds the news that a question needs"),
    "sentiment_model": (
        lambda services: services.sentiment_model,
        "what [sentiment] model names: a chat model, the packaged classifier, or the finance lexicon",
    ),
    "embedder": (
        lambda services: services.embedder,
        "Ollama when it answers, else the packaged all-MiniLM-L6-v2",
    ),
    "journal": (lambda services: services.journal, "decisions, orders, fills and balances in PostgreSQL"),
    "account_minutes": (
        lambda services: services.balance_history,
        "the account minute by minute, in PostgreSQL",
    ),
    "venue": (
        lambda services: services.venue,
        "the paper exchange, or the sandbox through Kraken's protocol",
    ),
    "account": (lambda services: services.account, "whose money, and what it opens with"),
    "policies": (lambda services: services.policies, "policy bundles and the promotion log"),
    "performance_store": (
        lambda services: services.performance,
        "scores per model and day in PostgreSQL",
    ),
    "plan_answers": (
        lambda services: services.plan_answers,
        "what people say of plans that programs have made",
    ),
    "board_maker": (lambda services: services.board_maker, "recorded votes and what followed them"),
    "weigher": (lambda services: services.weigher, "weighs the agents by their recorded votes"),
    "weight_versions": (lambda services: services.weight_versions, "weights of votes, as they were known"),
    "training": (lambda services: services.settings.policy, "PPO settings"),
    "promotion": (lambda services: services.settings.promotion, "the gate's rules"),
    "costs": (lambda services: services.costs, "fee, spread and slippage per pair"),
    "input_reader": (lambda services: services.input_reader, "everything a decision may see"),
    "market_reader": (lambda services: services.market_reader, "candles, features and news"),
    "clock": (lambda services: services.clock, "the account's time, whose it is, and its skew"),
    "arrival": (lambda services: services.arrival, "when a candle that is read now became known"),
    "executor": (lambda services: services.order_executor, "carries out orders"),
    "rebalancer": (lambda services: services.rebalancer, "the next trade towards the targets"),
    "rules": (lambda services: services.rules, "signals, analyst, consensus and risk limits"),
    "backtester": (lambda services: services.backtester, "strategies, account rules and stored candles"),
    "parity_auditor": (
        lambda services: services.parity_auditor,
        "back-tests a day and says why live was another",
    ),
    "report_folder": (lambda services: services.report_folder, "where HTML reports are written"),
    "monitor": (_market_monitor, "the system's state, and the model that [agents] monitor_model names"),
    "failure_notes": (lambda services: services.failure_notes, "runs that failed, for `marketloom status`"),
}
RESOURCES: dict[str, Any] = {
    **{name: _as_resource(*build) for name, build in _BUILDS.items()},
    "pipes": dg.PipesSubprocessClient(),
}
