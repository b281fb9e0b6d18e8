"""News in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from trading.ports import DESCRIBED_SCHEMA, SENTIMENT_SCHEMA, STORED_SCHEMA
from trading.stores.store_checks import check_sentiment, select_schema

FOUND = ("assets", "content_hash", "story_id")
SENTIMENT_KEY = ["article_id", "asset", "model"]


class MemoryNews:
    def __init__(self) -> None:
        self._articles = STORED_SCHEMA.to_frame()
        self._sentiment = SENTIMENT_SCHEMA.to_frame()

    def put_articles(self, articles: pl.DataFrame) -> int:
        before = self._articles.height
        rows = select_schema(articles, DESCRIBED_SCHEMA, "articles").unique(
            "article_id", keep="first", maintain_order=True
        )
        ingested = rows.with_columns(ingested_at=pl.lit(datetime.now(UTC), STORED_SCHEMA["ingested_at"]))
        self._articles = pl.concat([self._articles, ingested]).unique(
            "article_id", keep="first", maintain_order=True
        )
        found = rows.select("article_id", *FOUND)
        self._articles = self._articles.update(found, on="article_id")
        return self._articles.height - before

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        return _known_between(self._articles, start, end).sort("known_at", "article_id")

    def read(self, article_ids: Sequence[str]) -> pl.DataFrame:
        return self._articles.filter(pl.col("article_id").is_in(list(article_ids))).sort(
            "known_at", "article_id"
        )

    def stored(self, article_ids: Sequence[str]) -> set[str]:
        return set(article_ids) & set(self._articles["article_id"])

    def put_sentiment(self, rows: pl.DataFrame) -> None:
        checked = select_schema(rows, SENTIMENT_SCHEMA, "sentiment")
        check_sentiment(checked)
        self._sentiment = pl.concat([self._sentiment, checked]).unique(
            SENTIMENT_KEY, keep="last", maintain_order=True
        )

    def sentiment(self, asset: str, start: datetime, end: datetime) -> pl.DataFrame:
        copies = self._articles.filter(pl.col("story_id") != pl.col("article_id"))
        own = self._sentiment.filter(pl.col("asset") == asset).join(copies, on="article_id", how="anti")
        return _known_between(own, start, end).sort("known_at", "article_id", "model")


def _known_between(rows: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("known_at") >= start, pl.col("known_at") < end)
