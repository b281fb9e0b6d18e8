"""Who judges, in this process, from its settings: models, policies, rules, and the record of past votes."""

import os
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ml.agents.panel import ModelPanel
from ml.agents.vote_weights import VoteWeights, WeightVersions
from ml.backtests import Backtester
from ml.decision.decide import DecisionRules
from ml.learning.registry import PolicyRegistry
from ml.news.select import choose_embedder
from ml.retrieval.retriever import NewsRetriever
from ml.sentiment.select import choose_sentiment_model
from ml.track_record.board import BoardMaker
from ml.track_record.weighing import Weigher
from orchestration.backtesting import RecordedPast, build_backtester
from orchestration.clocks import machine_now
from orchestration.market_services import MarketServices
from trading.stores.postgres import (
    PostgresModelCalls,
    PostgresPerformance,
    PostgresPromotions,
    PostgresVotes,
)
from trading.stores.postgres.vote_weights import PostgresWeights

if TYPE_CHECKING:
    from ml.models.clients import ModelClients
    from ml.news.embeddings import Embedder
    from ml.sentiment.pair import SentimentModel


class JudgeServices(MarketServices):
    """Models, policies and track records over the market's stores."""

    @property
    def embedder(self) -> "Embedder":
        """Return the model that [embeddings] names, as it can serve now."""
        return choose_embedder(self.settings.ollama, self.settings.embeddings.model)

    @cached_property
    def news_retriever(self) -> NewsRetriever:
        half_life = timedelta(hours=self.settings.retrieval.half_life_hours)
        return NewsRetriever(self.news_index, self.news_store, lambda: self.embedder, half_life)

    @cached_property
    def model_calls(self) -> PostgresModelCalls:
        return PostgresModelCalls(self.dsn)

    @cached_property
    def model_clients(self) -> "ModelClients":
        """Return the clients of language models; they share breakers, the record of calls and the daily budget."""
        from ml.models.clients import (
            ModelClients,
        )  # loading the graph must not import orjson and pydantic schemas

        models = self.settings.models
        return ModelClients(
            calls=self.model_calls,
            rules=models.rules,
            ladder=self.settings.model_ladder,
            prices=models.dated_prices,
            environment=os.environ,
            today=lambda: machine_now().date(),
        )

    @cached_property
    def model_panel(self) -> ModelPanel:
        """Return the language models whose answers are inputs of a decision; none where the settings name none."""
        if not self.settings.agents.models:
            return ModelPanel()
        from orchestration.model_agents import (
            build_panel,
        )  # loading the graph must not import the clients of language models

        return build_panel(
            self.settings,
            self.model_clients,
            self.news_store,
            lambda: self.news_retriever,
            lambda: self.weights_at(machine_now()),
        )

    @property
    def sentiment_model(self) -> "SentimentModel":
        """Return the model that [sentiment] names. Raises where it cannot serve and nothing may take its place."""
        settings = self.settings
        return choose_sentiment_model(
            settings.ollama,
            settings.sentiment.model,
            settings.models.specs,
            lambda: self.model_clients,
            settings.sentiment.weights,
            simulated=self.news_is_simulated,
        )

    @cached_property
    def performance(self) -> PostgresPerformance:
        return PostgresPerformance(self.dsn, self.dataset)

    @cached_property
    def board_maker(self) -> BoardMaker:
        market = self.settings.market
        return BoardMaker(
            PostgresVotes(self.dsn, self.dataset),
            self.candle_store,
            self.feature_store,
            market.pairs,
            market.timeframe,
            self.costs,
            self.settings.models.cut_offs,
            self.weights_at,
        )

    @cached_property
    def weight_versions(self) -> WeightVersions:
        return WeightVersions(PostgresWeights(self.dsn, self.dataset))

    def weights_at(self, time: datetime) -> VoteWeights | None:
        """Return the weights of votes that a decision at `time` reads; None where [memory] is not enabled."""
        return self.weight_versions.at(time) if self.settings.memory.enabled else None

    @property
    def weigher(self) -> Weigher:
        return Weigher(self.board_maker, self.settings.memory)

    @cached_property
    def policies(self) -> PolicyRegistry:
        return PolicyRegistry(self.home / "policies" / self.dataset, self.promotions)

    @cached_property
    def promotions(self) -> PostgresPromotions:
        return PostgresPromotions(self.dsn, self.dataset)

    @property
    def backtester(self) -> Backtester:
        versions = self.weight_versions if self.settings.memory.enabled else None
        known = RecordedPast(self.market_reader, self.policies, versions)
        return build_backtester(self.settings, self.home, known)

    @property
    def rules(self) -> DecisionRules:
        return self.settings.decision_rules
