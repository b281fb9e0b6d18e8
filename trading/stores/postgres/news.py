"""News in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from trading.ports import ARTICLE_SCHEMA, DESCRIBED_SCHEMA, SENTIMENT_SCHEMA, STORED_SCHEMA
from trading.stores.postgres.connection import Database
from trading.stores.store_checks import check_sentiment, select_schema

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
WHERE (news_articles.assets, news_articles.content_hash, news_articles.story_id)
    IS DISTINCT FROM (excluded.assets, excluded.content_hash, excluded.story_id)
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

    def read(self, article_ids: Sequence[str]) -> pl.DataFrame:
        query = (
            f"SELECT {STORED_COLUMNS} FROM news_articles WHERE dataset = %s AND article_id = ANY(%s) "
            "ORDER BY known_at, article_id"
        )
        return self._table(query, (self._dataset, list(article_ids)), STORED_SCHEMA)

    def stored(self, article_ids: Sequence[str]) -> set[str]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT article_id FROM news_articles WHERE dataset = %s AND article_id = ANY(%s)",
                (self._dataset, list(article_ids)),
            ).fetchall()
        return {row["article_id"] for row in rows}

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
        with self._database.reading() as connection:
            return pl.DataFrame(connection.execute(query, values).fetchall(), schema, orient="row")


def _columns(rows: pl.DataFrame) -> list[list[Any]]:
    return [rows[name].to_list() for name in rows.columns]
