"""Scores of every model on past days: three pairs, a year of simulated minutes, news in PostgreSQL.

The lake, the news and the server are made in a folder that is removed afterwards. The peer is the question that a
live decision asks, put once per candle: what does the analyst say now?
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import cast

import numpy as np

from assets.features import month_features
from assets.performance import ShadowScorer
from benchmarks.learning import random_policy
from benchmarks.row import Benchmark, Row, best, row, seconds
from ml.agents.analyst import analyst_opinion
from ml.decision.market_reader import MarketReader
from ml.learning.observation import Normaliser
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from ml.news.description import describe
from ml.news.simulated import SimulatedNews
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.pair import score_articles
from orchestration.postgres.embedded import EmbeddedPostgres
from orchestration.services import Services
from orchestration.settings import load_settings
from trading.fills import Costs
from trading.indicators import POLICY_FEATURES
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_start, months_between, next_month
from trading.simulation.market import SimulatedMarket
from trading.stores.lake import LakeTable
from trading.stores.postgres import PostgresNews, migrate

PAIRS = (Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC"))
UNIVERSE = Universe(PAIRS, "USDT", Timeframe.M1, "simulated")
COSTS = dict.fromkeys(PAIRS, Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0002))
FIRST, LAST = date(2023, 1, 1), date(2023, 12, 1)
MONTH = date(2023, 10, 1)
ASKED = 200  # candles that the peer asks for: each costs a query and a mean over all news


def performance_month() -> Iterator[Row]:
    """Measure a month and the year that it lies in, both read from files and server as the asset reads them."""
    with _scorer() as scorer:
        month, year = _days(MONTH, MONTH), _days(FIRST, LAST)
        peer = _seconds_per_candle(scorer) * len(month) * 24 * 60 * len(PAIRS)
        yield _row("a month", best(lambda: scorer.score(month), 3), peer, target="< 3 s")
        monthly = [_days(each, each) for each in months_between(FIRST, LAST)]
        whole = seconds(lambda: [scorer.score(days) for days in monthly])
        yield _row("a year", whole, peer * len(year) / len(month), target="< 36 s")


def _row(what: str, value: float, peer: float, *, target: str) -> Row:
    return row(
        "performance_month",
        f"votes and scores of four models on {what} of minutes, three pairs",
        value,
        "s",
        f"the analyst alone, asked at every candle as a decision asks it, from {ASKED} candles",
        peer,
        target=target,
        packages=("polars", "psycopg"),
    )


def _seconds_per_candle(scorer: ShadowScorer) -> float:
    times = [month_start(next_month(MONTH)) - number * timedelta(minutes=1) for number in range(ASKED)]

    def ask() -> None:
        for at in times:
            analyst_opinion(scorer.market.sentiment(PAIRS[0], at), at, scorer.rules.analyst)

    return best(ask, 2) / ASKED


def _days(first: date, last: date) -> list[str]:
    count = (next_month(last) - first).days
    return [(first + timedelta(days=day)).isoformat() for day in range(count)]


@contextmanager
def _scorer() -> Iterator[ShadowScorer]:
    with (
        tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        migrate(server.dsn)
        candles, features = _lake(Path(folder))
        news = PostgresNews(server.dsn, UNIVERSE.dataset)
        _store_news(news)
        rules = Services(load_settings(), Path(folder), server.dsn).rules
        market = MarketReader(UNIVERSE, candles, news, COSTS, sentiment_half_life_hours=24.0)
        yield ShadowScorer(market, features, cast(PolicyRegistry, _RandomPolicies()), rules, COSTS)


class _RandomPolicies:
    """The same policy of random weights for every pair and month."""

    def __init__(self) -> None:
        count = len(POLICY_FEATURES)
        self._policy = random_policy(Normaliser(tuple(POLICY_FEATURES), np.zeros(count), np.ones(count)))

    def bundle(self, pair: Pair, month: date) -> Policy:
        return self._policy


def _lake(folder: Path) -> tuple[LakeTable, LakeTable]:
    candles, features = LakeTable(folder / "ohlcv", CANDLE_SCHEMA), LakeTable(folder / "features", None)
    start, end = month_start(FIRST), month_start(next_month(LAST))
    market = SimulatedMarket(PAIRS, UNIVERSE.timeframe, 1, start, end)
    months = months_between(FIRST, LAST)
    for pair in PAIRS:
        for month in months:
            candles.write(
                pair, month, market.candles(pair, month_start(month), month_start(next_month(month)))
            )
    for pair in PAIRS:
        for month in months:
            features.write(pair, month, month_features(candles, UNIVERSE, COSTS, pair, month))
    return candles, features


def _store_news(store: PostgresNews) -> None:
    random = np.random.default_rng(1)
    source = SimulatedNews(1, ("BTC", "XRP"), lambda asset, day: float(random.normal(0, 0.03)))
    articles = source.articles(month_start(FIRST) - timedelta(days=400), month_start(next_month(LAST)))
    store.put_articles(describe(articles))
    store.put_sentiment(score_articles(articles, ["BTC", "XRP"], LexiconSentiment()))


BENCHMARKS: dict[str, Benchmark] = {"performance_month": performance_month}
