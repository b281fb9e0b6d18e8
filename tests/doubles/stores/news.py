"""News and vectors in memory; nearest by exact cosine distance."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.errors import InvalidValue
from trading.ports import DESCRIBED_SCHEMA, SENTIMENT_SCHEMA, STORED_SCHEMA
from trading.stores.store_checks import check_sentiment, check_vectors, select_schema

Array = npt.NDArray[np.float32]
FOUND = ("assets", "content_hash", "story_id")
SENTIMENT_KEY = ["article_id", "asset", "model"]


class MemoryNews:
    def __init__(self) -> None:
        self._articles = STORED_SCHEMA.to_frame()
        self._sentiment = SENTIMENT_SCHEMA.to_frame()
        self._vectors: dict[str, dict[str, Array]] = {}  # model -> article id -> vector

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

    def stored(self, article_ids: Sequence[str]) -> set[str]:
        return set(article_ids) & set(self._articles["article_id"])

    def put_embeddings(self, model: str, article_ids: Sequence[str], vectors: Array) -> None:
        check_vectors(article_ids, vectors, self._dimensions(model))
        if unknown := set(article_ids) - set(self._articles["article_id"]):
            raise InvalidValue(f"no article {min(unknown)}: put the articles before their vectors")
        self._vectors.setdefault(model, {}).update(zip(article_ids, vectors.astype(np.float32), strict=True))

    def embedded(self, model: str, article_ids: Sequence[str]) -> set[str]:
        return set(article_ids) & set(self._vectors.get(model, {}))

    def nearest(self, model: str, vector: Array, count: int, known_before: datetime) -> pl.DataFrame:
        check_vectors([""], vector[None], self._dimensions(model))
        vectors = self._vectors.get(model, {})
        distances = pl.DataFrame(
            {
                "article_id": list(vectors),
                "distance": [_cosine_distance(each, vector) for each in vectors.values()],
            },
            {"article_id": pl.String, "distance": pl.Float64},
        )
        known = self._articles.filter(pl.col("known_at") < known_before).join(distances, on="article_id")
        return known.filter(pl.col("distance").is_not_nan()).sort("distance", "article_id").head(count)

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

    def _dimensions(self, model: str) -> int | None:
        return next((len(vector) for vector in self._vectors.get(model, {}).values()), None)


def _known_between(rows: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("known_at") >= start, pl.col("known_at") < end)


def _cosine_distance(left: Array, right: Array) -> float:
    """NaN when a vector has no direction."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(1 - a @ b / length) if length > 0 else float("nan")
