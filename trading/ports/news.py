"""Protocol and schemas of news and their sentiment. Times are UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

ARTICLE_SCHEMA = pl.Schema(
    {
        "article_id": pl.String(),  # hash of source, published_at, title and text
        "published_at": pl.Datetime("us", "UTC"),
        # the next midnight when the source gives a day without a clock time
        "known_at": pl.Datetime("us", "UTC"),
        "source": pl.String(),
        "title": pl.String(),  # the first sentence when the source has no title
        "text": pl.String(),
        "url": pl.String(),  # empty when the source has none
    }
)


SENTIMENT_SCHEMA = pl.Schema(
    {
        "article_id": pl.String(),
        "asset": pl.String(),  # BTC, XRP ...
        "known_at": pl.Datetime("us", "UTC"),
        "score": pl.Float64(),  # -1 .. 1
        "confidence": pl.Float64(),  # 0 .. 1
        "model": pl.String(),
        "prompt_hash": pl.String(),  # empty where no prompt exists
        "cost_usd": pl.Float64(),
    }
)


class NewsStore(Protocol):
    """Articles, their vectors and their sentiment. `known_at` decides what a decision at some time may see."""

    def put_articles(self, articles: pl.DataFrame) -> int:
        """Insert by `article_id` (ARTICLE_SCHEMA); known ids are left alone. Returns how many were new."""

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Read articles with start <= known_at < end, by known_at; empty when none."""

    def put_embeddings(
        self, model: str, article_ids: Sequence[str], vectors: npt.NDArray[np.float32]
    ) -> None:
        """Store vectors of shape (n, dimensions), one per article; replaces those of the same model."""

    def embedded(self, model: str, article_ids: Sequence[str]) -> set[str]:
        """Return which of these already have a vector of `model`."""

    def nearest(
        self, model: str, vector: npt.NDArray[np.float32], count: int, known_before: datetime
    ) -> pl.DataFrame:
        """Return articles known strictly before, nearest first, with a `distance` column (cosine)."""

    def put_sentiment(self, rows: pl.DataFrame) -> None:
        """Store one row per article, asset and model (SENTIMENT_SCHEMA); replaces those of the same key."""

    def sentiment(self, asset: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Read sentiment rows with start <= known_at < end, by known_at; empty when none."""
