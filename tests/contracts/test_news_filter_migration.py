"""Vectors from before they carried what a search filters by."""

from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from orchestration.postgres.embedded import EmbeddedPostgres
from trading.ports.news_index import EmbeddingVersion, NewsFilter
from trading.stores.postgres import PostgresNewsIndex, migrate

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
VERSION = EmbeddingVersion("minilm", 2, "sentences")
KEY = VERSION.key("d")


@pytest.fixture
def old(postgres_server: EmbeddedPostgres) -> str:
    """A story of XRP, a copy of it and a newer story, with vectors and their index, brought to the newest version."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS old_news WITH (FORCE)")
        connection.execute("CREATE DATABASE old_news")
    dsn = postgres_server.dsn.replace("/marketloom?", "/old_news?")
    migrate(dsn, "0015")
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO embedding_versions VALUES (%s, 'd', 'minilm', 2, 'sentences')", (KEY,)
        )
        connection.execute(
            f"CREATE TABLE news_embeddings_{KEY} PARTITION OF news_embeddings FOR VALUES IN ('{KEY}')"
        )
        for hours, (article, story, assets) in enumerate(
            (("a", "a", ["XRP"]), ("b", "a", ["XRP"]), ("c", "c", []))
        ):
            known = NOON + timedelta(hours=hours)
            connection.execute(
                "INSERT INTO news_articles (dataset, article_id, published_at, known_at, source, title, text, url, "
                "language, date_only, assets, content_hash, story_id) "
                "VALUES ('d', %s, %s, %s, '', 'T', '', '', 'en', false, %s, '', %s)",
                (article, known, known, assets, story),
            )
            connection.execute(
                "INSERT INTO news_embeddings VALUES (%s, 'd', 2, %s, 0, '[1,0]')", (KEY, article)
            )
        connection.execute(
            f"CREATE INDEX news_hnsw_{KEY} ON news_embeddings_{KEY} USING hnsw ((vector::vector(2)) vector_cosine_ops)"
        )
    migrate(dsn)
    return dsn


def test_vectors_from_before_are_found_by_every_filter_and_their_index_is_built_anew(old: str) -> None:
    index = PostgresNewsIndex(old, "d")

    def found(wanted: NewsFilter) -> list[str]:
        return [hit.article_id for hit in index.nearest(VERSION, np.array([1, 0], np.float32), wanted, 3)]

    later = NOON + timedelta(days=1)
    assert found(NewsFilter(later)) == ["a", "c"]
    assert found(NewsFilter(later, frozenset({"XRP"}))) == ["a"]
    assert found(NewsFilter(NOON + timedelta(hours=2))) == ["a"]
    assert found(NewsFilter(NOON)) == []
    assert not index.end_load(VERSION).indexed  # that of before is of another kind
