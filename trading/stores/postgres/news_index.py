"""News that can be searched in PostgreSQL: pgvector for meaning, full text for words.

Each embedding version has a partition and an approximate index of its own: vectors of two models never meet.
"""

from collections.abc import Sequence

import numpy as np
from pgvector import Vector as PgVector
from pgvector.psycopg import register_vector
from psycopg import sql

from trading.ports.news_index import (
    Candidates,
    EmbeddingVersion,
    IndexState,
    NewsFilter,
    Vector,
    VectorHit,
)
from trading.stores.postgres.connection import Connection, Database
from trading.stores.postgres.news_search import MEASURED, SETTINGS, NewsSearch
from trading.stores.postgres.news_words import NewsWords
from trading.stores.postgres.turns import finish, in_turns
from trading.stores.store_checks import check_passages

MAX_INDEXED_DIMENSIONS = 4_000  # pgvector's limit for an index of `halfvec`; beyond it every search is exact
MIN_INDEXED = 4 * MEASURED  # passages; fewer are searched exactly in no time
BULK = 1_000  # passages; a load of more, and of more than a quarter of what is stored, is indexed afterwards
EF_CONSTRUCTION = 128  # of pgvector's 64 a group far from all else has too few links to be found: decision 44
# Memory of a build: beyond it pgvector builds several times slower. 100,000 vectors of MiniLM take about 150 MB.
BUILD_MEMORY = "512MB"


class PostgresNewsIndex:
    """`dataset` keeps real and simulated headlines apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn, options=SETTINGS)
        self._beside = Database(dsn, options=SETTINGS)  # by words, while the other searches by meaning
        self._dataset = dataset
        self._search = NewsSearch(dataset)
        self._words = NewsWords(dataset)

    def begin_load(self, version: EmbeddingVersion, passages: int) -> None:
        with self._database.transaction() as connection:
            self._lock(connection, version)
            self._create_partition(connection, version)
            if passages >= BULK and passages * 4 > self._state(connection, version).passages:
                connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(self._index(version)))

    def put(self, version: EmbeddingVersion, passages: Sequence[tuple[str, int]], vectors: Vector) -> None:
        check_passages(passages, vectors, version.dimensions)
        key = version.key(self._dataset)
        with self._database.transaction() as connection:
            self._lock(connection, version)
            self._create_partition(connection, version)
            register_vector(connection)
            table, articles = self._table(version), sorted({article for article, _ in passages})
            # First the articles: who changes one locks it, and then its vectors.
            connection.execute(
                "SELECT FROM news_articles WHERE dataset = %s AND article_id = ANY(%s) ORDER BY article_id FOR SHARE",
                (self._dataset, articles),
            )
            connection.execute(
                sql.SQL("DELETE FROM {} WHERE article_id = ANY(%s)").format(table), (articles,)
            )
            columns = sql.SQL(
                "COPY {} (version, dataset, dimensions, article_id, passage, vector) FROM STDIN BINARY"
            )
            with connection.cursor().copy(columns.format(table)) as copy:
                copy.set_types(["text", "text", "int4", "text", "int2", "vector"])
                for (article, number), vector in zip(passages, vectors, strict=True):
                    copy.write_row(
                        (key, self._dataset, version.dimensions, article, number, PgVector(vector))
                    )

    def end_load(self, version: EmbeddingVersion) -> IndexState:
        with self._database.transaction() as connection:
            self._lock(connection, version)
            self._create_partition(connection, version)
            state = self._state(connection, version)
            if state.indexed or state.passages < MIN_INDEXED or version.dimensions > MAX_INDEXED_DIMENSIONS:
                return state
            # One process: parallel builds need shared memory, of which a container may have very little.
            connection.execute(
                "SELECT set_config('maintenance_work_mem', %s, true), "
                "set_config('max_parallel_maintenance_workers', '0', true)",
                (BUILD_MEMORY,),
            )
            connection.execute(
                sql.SQL(
                    "CREATE INDEX {} ON {} USING hnsw ((vector::halfvec({})) halfvec_cosine_ops) "
                    "WITH (ef_construction = {})"
                ).format(
                    self._index(version), self._table(version), sql.Literal(version.dimensions),
                    sql.Literal(EF_CONSTRUCTION),
                )
            )  # fmt: skip
            connection.execute(sql.SQL("ANALYZE {}, news_articles").format(self._table(version)))
            return IndexState(state.articles, state.passages, True)

    def embedded(self, version: EmbeddingVersion, article_ids: Sequence[str]) -> set[str]:
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT DISTINCT article_id FROM news_embeddings WHERE version = %s AND article_id = ANY(%s)",
                (version.key(self._dataset), list(article_ids)),
            ).fetchall()
        return {row["article_id"] for row in rows}

    def search(
        self, version: EmbeddingVersion, text: str, vector: Vector, wanted: NewsFilter, count: int
    ) -> Candidates:
        check_passages([("", 0)], vector[None], version.dimensions)
        with (
            self._database.pipeline() as connection,
            self._beside.pipeline() as beside,
            self._search.needs_vectors(version),
        ):
            by_vector, unembedded, by_text = finish(
                in_turns(
                    self._search.nearest(connection, version, vector, wanted, count),
                    self._search.unembedded(beside, version, wanted),
                    self._words.matching(beside, text, wanted, count),
                )
            )
        return Candidates(by_vector, by_text, unembedded)

    def nearest(
        self,
        version: EmbeddingVersion,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
        *,
        exact: bool = False,
    ) -> tuple[VectorHit, ...]:
        check_passages([("", 0)], vector[None], version.dimensions)
        with self._database.pipeline() as connection, self._search.needs_vectors(version):
            return finish(self._search.nearest(connection, version, vector, wanted, count, exact=exact))

    def sample(self, version: EmbeddingVersion, count: int) -> Vector:
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT vector::real[] AS vector FROM news_embeddings WHERE version = %s "
                "ORDER BY hashtext(article_id), article_id, passage LIMIT %s",
                (version.key(self._dataset), count),
            ).fetchall()
        return np.array([row["vector"] for row in rows], np.float32).reshape(-1, version.dimensions)

    def _lock(self, connection: Connection, version: EmbeddingVersion) -> None:
        """Let loads of one version take turns; readers are not held up."""
        number = int(version.key(self._dataset), 16) - (1 << 63)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))

    def _create_partition(self, connection: Connection, version: EmbeddingVersion) -> None:
        key, table = version.key(self._dataset), self._table(version)
        connection.execute(
            "INSERT INTO embedding_versions VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (key, self._dataset, version.model, version.dimensions, version.chunking),
        )
        row = connection.execute("SELECT to_regclass(%s) AS made", (f"news_embeddings_{key}",)).fetchone()
        if row and row["made"] is None:
            connection.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF news_embeddings FOR VALUES IN ({})").format(
                    table, sql.Literal(key)
                )
            )

    def _state(self, connection: Connection, version: EmbeddingVersion) -> IndexState:
        row = connection.execute(
            sql.SQL(
                "SELECT count(DISTINCT article_id) AS articles, count(*) AS passages, "
                "to_regclass({}) IS NOT NULL AS indexed FROM {}"
            ).format(sql.Literal(f"news_hnsw_{version.key(self._dataset)}"), self._table(version))
        ).fetchone()
        assert row is not None
        return IndexState(**row)

    def _table(self, version: EmbeddingVersion) -> sql.Identifier:
        return sql.Identifier(f"news_embeddings_{version.key(self._dataset)}")

    def _index(self, version: EmbeddingVersion) -> sql.Identifier:
        return sql.Identifier(f"news_hnsw_{version.key(self._dataset)}")
