"""A decision in which every kind of input takes part: three pairs, a champion, news; and what replays it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ml.agents.rules import DecisionRules
from ml.agents.vote_weights import WeightVersions
from ml.decision.replay import AGENT_PROMPTS, PROMPTS, Replay, Replayer
from ml.learning.bundle import write_bundle
from ml.learning.manifest import Manifest
from ml.learning.registry import PolicyRegistry
from ml.news.description import describe
from ml.sentiment.prompts import SENTIMENT_PROMPT_HASH
from tests.doubles.stores import MemoryNews, MemoryPromotions, MemoryWeights
from tests.ml.decision.decision_world import DecisionWorld, with_market
from tests.ml.decision.trading_day import PAIR, RULES, START
from trading.indicators import lookback
from trading.market import Pair, Timeframe, month_of
from trading.ports import ARTICLE_SCHEMA, SENTIMENT_SCHEMA

CROSS, OTHER = Pair("XRP", "BTC"), Pair("XRP", "USDT")
FEATURES = ("rsi_14", "adx_14")
MONTH = date(2024, 1, 1)
ARTICLES = {"a" * 16: 30, "b" * 16: 5}  # id -> hours before the decision


class ReplayWorld(DecisionWorld):
    """PAIR and two others, a champion and two articles that a language model has judged."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        super().__init__(folder, **changes)
        self.with_pairs(PAIR, CROSS, OTHER)
        self.promotions = MemoryPromotions()
        self.policies = PolicyRegistry(folder, self.promotions)
        self.reader = replace(self.reader, policies=self.policies)
        self.champion = self.promote(seed=2)
        self.versions = WeightVersions(MemoryWeights())
        self.reader = replace(self.reader, weights=self.versions.at)
        self.news = MemoryNews()
        self.reader = with_market(self.reader, news=self.news)
        self.judge(0.5)

    def promote(self, seed: int) -> str:
        """Train nothing: a network of random weights becomes the champion, known from the first candle on."""
        policy_id = write_bundle(self.policies.folder(PAIR, MONTH), *random_policy(seed)).name
        self.promotions.record(PAIR, policy_id, True, {}, at=START)
        return policy_id

    def judge(self, score: float, prompt: str = SENTIMENT_PROMPT_HASH) -> None:
        """Store the articles with this judgement; an earlier one of the same model is replaced."""
        known = [self.newest - timedelta(hours=hours) for hours in ARTICLES.values()]
        count = len(known)
        articles = pl.DataFrame(
                {
                    "article_id": list(ARTICLES), "published_at": known, "known_at": known, "source": ["wire"] * count,
                    "title": ["Bitcoin rises, \"again\""] * count, "text": ["It did."] * count, "url": [""] * count,
                    "language": ["en"] * count, "date_only": [False] * count,
                },
                ARTICLE_SCHEMA,
            )  # fmt: skip
        self.news.put_articles(describe(articles))
        self.news.put_sentiment(
            pl.DataFrame(
                {
                    "article_id": list(ARTICLES), "asset": ["BTC"] * count, "known_at": known, "score": [score] * count,
                    "confidence": [0.8] * count, "model": ["ollama/test"] * count, "prompt_hash": [prompt] * count,
                    "cost_usd": [0.0] * count,
                },
                SENTIMENT_SCHEMA,
            )
        )  # fmt: skip

    def restate(self, pair: Pair, rows_before_last: int, **changes: float) -> None:
        """Change numbers of a stored candle, as a source does that corrects its history."""
        open_time = self.table.tail(pair, self.newest, rows_before_last + 1)["open_time"][0]
        month = month_of(open_time)
        rows = self.table.read(pair, month)
        changed = [
            pl.when(pl.col("open_time") == open_time).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
            for name, value in changes.items()
        ]
        self.table.write(pair, month, rows.with_columns(changed))

    def replay(
        self,
        receipt: Mapping[str, Any],
        rules: DecisionRules = RULES,
        prompts: frozenset[str] = PROMPTS,
        agent_prompts: frozenset[str] = AGENT_PROMPTS,
    ) -> Replay:
        inputs, market = self.journal.inputs, self.reader.market
        replayer = Replayer(market, self.policies, rules, inputs, prompts, agent_prompts, self.versions.at)
        return replayer.replay(receipt)


def random_policy(seed: int) -> tuple[Manifest, list[tuple[Any, Any]]]:
    random, sizes = np.random.default_rng(seed), (len(FEATURES) + 1, 8, 2)
    layers = [
        (
            random.normal(size=(inputs, outputs)).astype(np.float32),
            random.normal(size=outputs).astype(np.float32),
        )
        for inputs, outputs in pairwise(sizes)
    ]
    return manifest(seed), layers


def manifest(seed: int) -> Manifest:
    return Manifest(
        policy_id="", pair=str(PAIR), timeframe="1h", dataset="test-1h", feature_names=FEATURES,
        mean=(50.0, 25.0), std=(20.0, 10.0), hidden_sizes=(8,), config={}, costs={}, training_start=START,
        training_end=START, training_rows=lookback(Timeframe.H1), dropped_rows=0, embargo_candles=24,
        test_month=MONTH, seed=seed, frames=1, frames_per_second=1.0, reward_curve=(), versions={},
        inputs_hash="", recipe="", files={},
    )  # fmt: skip
