"""News in PostgreSQL, vectors in pgvector."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pgvector.psycopg import register_vector

from trading.ports import ARTICLE_SCHEMA, DESCRIBED_SCHEMA, SENTIMENT_SCHEMA, STORED_SCHEMA
from trading.stores.postgres.connection import Connection, Database
from trading.stores.store_checks import check_sentiment, check_vectors, select_schema

Array = npt.NDArray[np.float32]

NEAREST_SCHEMA = pl.Schema({**STORED_SCHEMA, "distance": pl.Float64()})
STORED_COLUMNS = ", ".join(STORED_SCHEMA)
# An array of arrays of different lengths is none in PostgreSQL: the assets of a row go there as one text.
PUT_ARTICLES = f"""
INSERT INTO news_articles (dataset, {", ".join(DESCRIBED_SCHEMA)})
SELECT %s, {", ".join(ARTICLE_SCHEMA)}, string_to_array(assets, ','), content_hash, story_id
FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::bool[], %s::text[], %s::text[], %s::text[])
    AS given ({", ".join(DESCRIBED_SCHEMA)})
ON CONFLICT (dataset, article_id) DO UPDATE
SET assets = excluded.assets, content_hash = excluded.content_hash, story_id = excluded.story_id
RETURNING xmax = 0 AS is_new
"""
SENTIMENT_COLUMNS = ", ".join(SENTIMENT_SCHEMA)
REPLACED = ", ".join(
    f"{name} = excluded.{name}" for name in ("known_at", "score", "confidence", "prompt_hash", "cost_usd")
)


class PostgresNews:
    """`dataset` keeps real and simulated headlines apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def put_articles(self, articles: pl.DataFrame) -> int:
        rows = select_schema(articles, DESCRIBED_SCHEMA, "articles")
        single = rows.unique("article_id", keep="first", maintain_order=True)
        columns = _columns(single.with_columns(pl.col("assets").list.join(",")))
        with self._database.transaction() as connection:
            found = connection.execute(PUT_ARTICLES, (self._dataset, *columns)).fetchall()
        return sum(row["is_new"] for row in found)

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        query = (
            f"SELECT {STORED_COLUMNS} FROM news_articles "
            "WHERE dataset = %s AND known_at >= %s AND known_at < %s ORDER BY known_at, article_id"
        )
        return self._table(query, (self._dataset, start, end), STORED_SCHEMA)

    def stored(self, article_ids: Sequence[str]) -> set[str]:
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT article_id FROM news_articles WHERE dataset = %s AND article_id = ANY(%s)",
                (self._dataset, list(article_ids)),
            ).fetchall()
        return {row["article_id"] for row in rows}

    def put_embeddings(self, model: str, article_ids: Sequence[str], vectors: Array) -> None:
        with self._database.transaction() as connection:
            check_vectors(article_ids, vectors, self._dimensions(connection, model))
            register_vector(connection)
            rows = [
                (self._dataset, model, article, vector)
                for article, vector in zip(article_ids, vectors.astype(np.float32), strict=True)
            ]
            connection.cursor().executemany(
                "INSERT INTO news_embeddings (dataset, model, article_id, vector) VALUES (%s, %s, %s, %b) "
                "ON CONFLICT (dataset, model, article_id) DO UPDATE SET vector = excluded.vector",
                rows,
            )

    def embedded(self, model: str, article_ids: Sequence[str]) -> set[str]:
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT article_id FROM news_embeddings "
                "WHERE dataset = %s AND model = %s AND article_id = ANY(%s)",
                (self._dataset, model, list(article_ids)),
            ).fetchall()
        return {row["article_id"] for row in rows}

    def nearest(self, model: str, vector: Array, count: int, known_before: datetime) -> pl.DataFrame:
        with self._database.transaction() as connection:
            check_vectors([""], vector[None], self._dimensions(connection, model))
            register_vector(connection)
            rows = connection.execute(
                f"SELECT * FROM (SELECT {STORED_COLUMNS}, vector <=> %b AS distance FROM news_articles "
                "JOIN news_embeddings USING (dataset, article_id) "
                "WHERE dataset = %s AND model = %s AND known_at < %s) measured "
                "WHERE distance <> 'NaN' ORDER BY distance, article_id LIMIT %s",
                (vector.astype(np.float32), self._dataset, model, known_before, count),
            ).fetchall()
        return pl.DataFrame(rows, NEAREST_SCHEMA, orient="row")

    def put_sentiment(self, rows: pl.DataFrame) -> None:
        checked = select_schema(rows, SENTIMENT_SCHEMA, "sentiment")
        check_sentiment(checked)
        newest = checked.unique(["article_id", "asset", "model"], keep="last", maintain_order=True)
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT INTO news_sentiment (dataset, {SENTIMENT_COLUMNS}) SELECT %s, * FROM "
                "unnest(%s::text[], %s::text[], %s::timestamptz[], %s::float8[], %s::float8[], %s::text[], "
                "%s::text[], %s::float8[]) "
                f"ON CONFLICT (dataset, article_id, asset, model) DO UPDATE SET {REPLACED}",
                (self._dataset, *_columns(newest)),
            )

    def sentiment(self, asset: str, start: datetime, end: datetime) -> pl.DataFrame:
        query = (
            f"SELECT {SENTIMENT_COLUMNS} FROM news_sentiment judged WHERE dataset = %s AND asset = %s "
            "AND known_at >= %s AND known_at < %s AND NOT EXISTS (SELECT FROM news_articles copy "
            "WHERE copy.dataset = judged.dataset AND copy.article_id = judged.article_id "
            "AND copy.story_id <> copy.article_id) "
            'ORDER BY known_at, article_id, model COLLATE "C"'
        )
        return self._table(query, (self._dataset, asset, start, end), SENTIMENT_SCHEMA)

    def _table(self, query: str, values: tuple[Any, ...], schema: pl.Schema) -> pl.DataFrame:
        with self._database.transaction() as connection:
            return pl.DataFrame(connection.execute(query, values).fetchall(), schema, orient="row")

    def _dimensions(self, connection: Connection, model: str) -> int | None:
        row = connection.execute(
            "SELECT vector_dims(vector) AS dimensions FROM news_embeddings "
            "WHERE dataset = %s AND model = %s LIMIT 1",
            (self._dataset, model),
        ).fetchone()
        return row["dimensions"] if row else None


def _columns(rows: pl.DataFrame) -> list[list[Any]]:
    return [rows[name].to_list() for name in rows.columns]
