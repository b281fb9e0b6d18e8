"""News in PostgreSQL, vectors in pgvector."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pgvector.psycopg import register_vector

from trading.ports import ARTICLE_SCHEMA, SENTIMENT_SCHEMA
from trading.stores.postgres.connection import Connection, Database
from trading.stores.store_checks import check_sentiment, check_vectors, select_schema

Array = npt.NDArray[np.float32]

NEAREST_SCHEMA = pl.Schema({**ARTICLE_SCHEMA, "distance": pl.Float64()})
ARTICLE_COLUMNS = ", ".join(ARTICLE_SCHEMA)
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
        rows = select_schema(articles, ARTICLE_SCHEMA, "articles")
        with self._database.transaction() as connection:
            return connection.execute(
                f"INSERT INTO news_articles (dataset, {ARTICLE_COLUMNS}) SELECT %s, * FROM "
                "unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], "
                "%s::text[]) ON CONFLICT DO NOTHING",
                (self._dataset, *_columns(rows)),
            ).rowcount

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        query = (
            f"SELECT {ARTICLE_COLUMNS} FROM news_articles "
            "WHERE dataset = %s AND known_at >= %s AND known_at < %s ORDER BY known_at, article_id"
        )
        return self._table(query, (self._dataset, start, end), ARTICLE_SCHEMA)

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
                f"SELECT * FROM (SELECT {ARTICLE_COLUMNS}, vector <=> %b AS distance FROM news_articles "
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
            f"SELECT {SENTIMENT_COLUMNS} FROM news_sentiment WHERE dataset = %s AND asset = %s "
            'AND known_at >= %s AND known_at < %s ORDER BY known_at, article_id, model COLLATE "C"'
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
