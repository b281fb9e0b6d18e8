"""The newest articles about a pair, as an analyst is given them; a search by meaning can stand in their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from ml.news.entities import quote_is_crypto
from trading.market import Pair
from trading.ports import NewsStore


@dataclass(frozen=True, slots=True)
class NewsItem:
    """One article with its id, which is what may be cited."""

    article_id: str
    known_at: datetime
    source: str
    title: str
    text: str


class PairNews(Protocol):
    """Where an analyst's articles come from."""

    def articles(self, pair: Pair, at: datetime) -> Sequence[NewsItem]:
        """Return few articles about the pair's assets, known strictly before `at`; it reads no clock."""


@dataclass(frozen=True, slots=True)
class RecentNews:
    """The `count` newest stories of the last `max_age`, each in its first telling, newest first."""

    store: NewsStore
    max_age: timedelta
    count: int

    def articles(self, pair: Pair, at: datetime) -> Sequence[NewsItem]:
        assets = [pair.base, pair.quote] if quote_is_crypto(pair) else [pair.base]
        named = pl.col("assets").list.eval(pl.element().is_in(assets)).list.any()
        found = (
            self.store.articles(at - self.max_age, at)
            .filter(named.fill_null(False), pl.col("story_id") == pl.col("article_id"))
            .sort("known_at", "article_id", descending=[True, False])
            .head(self.count)
        )
        columns = ("article_id", "known_at", "source", "title", "text")
        return [NewsItem(**row) for row in found.select(columns).iter_rows(named=True)]
