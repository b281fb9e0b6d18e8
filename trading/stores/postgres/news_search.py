"""The two rankings of a search in PostgreSQL, neither of which a filter can starve.

An approximate index (HNSW) is read first and filtered afterwards: it gives up after `hnsw.max_scan_tuples` passages,
however many of those behind them are wanted, and its graph may not reach a group of stories that nothing links to. So
the newest stories that match are always measured one by one, which is all of them where few match; the index adds older
ones, and where it ends before there are enough, all that match are measured.
"""

from collections.abc import Iterable

from psycopg import sql

from trading.errors import InvalidValue, NotStored
from trading.ports.news_index import (
    MAX_QUERY,
    EmbeddingVersion,
    NewsFilter,
    TextHit,
    Vector,
    VectorHit,
)
from trading.stores.postgres.connection import Connection

MAX_EXACT = 1_000  # stories, the newest that match: always measured one by one
EF_SEARCH = 240  # candidates that the index keeps: https://github.com/pgvector/pgvector#query-options
FETCHED = 100  # passages read from the index at a time
NEWEST = 200  # stories that hold all words, and that hold some, which are ranked

_SETTINGS = sql.SQL(
    "SELECT set_config('hnsw.ef_search', {}, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), "
    # Never sort all distances to get the nearest few; and a plan that takes 3 ms needs no compiler.
    "set_config('enable_seqscan', {}, true), set_config('enable_sort', {}, true), set_config('jit', 'off', true)"
)
_NARROW = sql.SQL("SELECT count(*) AS stories FROM (SELECT FROM news_articles a WHERE {} LIMIT {}) counted")
# Each passage of the index is looked up in turn: a plan that joined the other way round would read all stories for it.
_INDEXED = sql.SQL(
    "SELECT e.article_id, e.passage, a.known_at, e.vector::vector({size}) <=> {vector}::vector({size}) AS distance "
    "FROM {table} e CROSS JOIN LATERAL ("
    "SELECT a.known_at FROM news_articles a WHERE a.article_id = e.article_id AND {wanted} OFFSET 0) a "
    "ORDER BY e.vector::vector({size}) <=> {vector}::vector({size})"
)
_EXACT = sql.SQL(
    "WITH measured AS MATERIALIZED ("
    "SELECT e.article_id, e.passage, a.known_at, e.vector <=> {vector}::vector AS distance "
    "FROM (SELECT a.article_id, a.known_at FROM news_articles a WHERE {wanted} "
    "ORDER BY known_at DESC, article_id LIMIT {newest}) a JOIN {table} e ON e.article_id = a.article_id) "
    "SELECT * FROM measured ORDER BY distance, article_id, passage LIMIT {rows}"
)
# Words joined by "and", and the same joined by "or": whatever a person writes, it is no syntax.
_QUESTION = """
SELECT plainto_tsquery('english', %(text)s)::text AS every,
    replace(plainto_tsquery('english', %(text)s)::text, ' & ', ' | ') AS some
"""
_MATCHING = sql.SQL(
    "SELECT article_id, known_at FROM ("
    "(SELECT article_id, known_at, words FROM news_articles a WHERE {wanted} AND words @@ {every}::tsquery "
    "ORDER BY known_at DESC, article_id LIMIT {newest}) UNION ALL "
    "(SELECT article_id, known_at, words FROM news_articles a WHERE {wanted} AND words @@ {some}::tsquery "
    "ORDER BY known_at DESC, article_id LIMIT {newest})) found "
    "ORDER BY words @@ {every}::tsquery DESC, ts_rank(words, {some}::tsquery, 1) DESC, known_at DESC, article_id "
    "LIMIT {count}"
)
_UNEMBEDDED = sql.SQL(
    "SELECT count(*) AS stories FROM (SELECT article_id FROM news_articles a WHERE {wanted} "
    "ORDER BY known_at DESC LIMIT {newest}) newest "
    "WHERE NOT EXISTS (SELECT FROM {table} e WHERE e.article_id = newest.article_id)"
)


class NewsSearch:
    """Searches inside a transaction of the caller. Only first tellings of a story are found, never copies."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    def nearest(
        self,
        connection: Connection,
        version: EmbeddingVersion,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
        *,
        exact: bool = False,
    ) -> tuple[VectorHit, ...]:
        """Return the stories whose nearest passage is nearest, each once."""
        key = version.key(self._dataset)
        is_indexed = self._has_index(connection, version)
        if is_indexed and not exact and not self._is_narrow(connection, wanted):
            older = self._by_index(connection, version, vector, wanted, count)
            if len(older) == count:
                newest = self._by_distance(connection, key, vector, wanted, count, MAX_EXACT)
                return _nearest_of((*newest, *older))[:count]
        found = self._by_distance(connection, key, vector, wanted, count)
        if not found and not _has_rows(connection, key):
            raise self._nothing_stored(version)
        return found

    def matching(
        self, connection: Connection, text: str, wanted: NewsFilter, count: int
    ) -> tuple[TextHit, ...]:
        """Rank the newest stories with all words of the text before the newest with some."""
        if len(text) > MAX_QUERY:
            raise InvalidValue(
                f"the question has {len(text)} characters; at most {MAX_QUERY} are searched for"
            )
        question = connection.execute(_QUESTION, {"text": text}).fetchone()
        if question is None or not question["some"]:
            return ()
        _configure(connection, sort=True)
        query = _MATCHING.format(
            wanted=self._wanted(wanted), every=sql.Literal(question["every"]), some=sql.Literal(question["some"]),
            newest=sql.Literal(NEWEST), count=sql.Literal(2 * count),
        )  # fmt: skip
        rows = connection.execute(query, prepare=False).fetchall()
        return tuple({row["article_id"]: TextHit(**row) for row in rows}.values())[:count]

    def unembedded(self, connection: Connection, version: EmbeddingVersion, wanted: NewsFilter) -> int:
        """Count those of the newest stories that match which have no vector of the version."""
        query = _UNEMBEDDED.format(
            wanted=self._wanted(wanted), newest=sql.Literal(NEWEST), table=_table(version.key(self._dataset))
        )
        row = connection.execute(query, prepare=False).fetchone()
        return int(row["stories"]) if row else 0

    def _has_index(self, connection: Connection, version: EmbeddingVersion) -> bool:
        key = version.key(self._dataset)
        row = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL AS stored, to_regclass(%s) IS NOT NULL AS indexed",
            (f"news_embeddings_{key}", f"news_hnsw_{key}"),
        ).fetchone()
        if row is None or not row["stored"]:
            raise self._nothing_stored(version)
        return bool(row["indexed"])

    def _is_narrow(self, connection: Connection, wanted: NewsFilter) -> bool:
        query = _NARROW.format(self._wanted(wanted), sql.Literal(MAX_EXACT + 1))
        row = connection.execute(query, prepare=False).fetchone()
        return row is not None and row["stories"] <= MAX_EXACT

    def _by_index(
        self,
        connection: Connection,
        version: EmbeddingVersion,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
    ) -> tuple[VectorHit, ...]:
        """Read the index until there are enough stories; fewer where it has given up."""
        _configure(connection, sort=False)
        query = _INDEXED.format(
            size=sql.Literal(version.dimensions), vector=_literal(vector),
            table=_table(version.key(self._dataset)), wanted=self._wanted(wanted),
        )  # fmt: skip
        hits: list[VectorHit] = []
        stories: set[str] = set()
        with connection.cursor(name="nearest") as cursor:
            cursor.itersize = FETCHED
            for row in cursor.execute(query):
                hits.append(VectorHit(**row))
                stories.add(hits[-1].article_id)
                if len(stories) >= count + count // 2:  # the index is a little out of order
                    break
        return _nearest_of(hits)[:count]

    def _by_distance(
        self,
        connection: Connection,
        key: str,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
        newest: int | None = None,
    ) -> tuple[VectorHit, ...]:
        """Measure the newest stories that match, or all of them."""
        _configure(connection, sort=True)
        rows = 2 * count
        while True:  # an article may have many passages that are nearer than the next story
            query = _EXACT.format(
                vector=_literal(vector), table=_table(key), wanted=self._wanted(wanted),
                newest=sql.Literal(newest), rows=sql.Literal(rows),
            )  # fmt: skip
            hits = [VectorHit(**row) for row in connection.execute(query, prepare=False).fetchall()]
            found = _nearest_of(hits)
            if len(found) >= count or len(hits) < rows:
                return found[:count]
            rows *= 8

    def _wanted(self, wanted: NewsFilter) -> sql.Composed:
        conditions = [
            sql.SQL("a.dataset = {}").format(sql.Literal(self._dataset)),
            sql.SQL("a.story_id = a.article_id"),
            sql.SQL("a.known_at < {}").format(sql.Literal(wanted.as_of)),
        ]
        if wanted.since is not None:
            conditions.append(sql.SQL("a.known_at >= {}").format(sql.Literal(wanted.since)))
        if wanted.assets:
            conditions.append(sql.SQL("a.assets && {}::text[]").format(sql.Literal(sorted(wanted.assets))))
        return sql.SQL(" AND ").join(conditions)

    def _nothing_stored(self, version: EmbeddingVersion) -> NotStored:
        return NotStored(
            f"{self._dataset} has no vectors of {version}: materialise news_embeddings, all days for a back-fill "
            "after the model has changed"
        )


def _configure(connection: Connection, *, sort: bool) -> None:
    flag = sql.Literal("on" if sort else "off")
    connection.execute(_SETTINGS.format(sql.Literal(str(EF_SEARCH)), flag, flag))


def _has_rows(connection: Connection, key: str) -> bool:
    return connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(_table(key))).fetchone() is not None


def _nearest_of(hits: Iterable[VectorHit]) -> tuple[VectorHit, ...]:
    """Keep the nearest passage of each story, nearest stories first."""
    best: dict[str, VectorHit] = {}
    for hit in sorted(hits, key=lambda hit: (hit.distance, hit.article_id, hit.passage)):
        best.setdefault(hit.article_id, hit)
    return tuple(best.values())


def _table(key: str) -> sql.Identifier:
    return sql.Identifier(f"news_embeddings_{key}")


def _literal(vector: Vector) -> sql.Literal:
    """Write every digit of each float32."""
    return sql.Literal("[" + ",".join(map(str, vector.tolist())) + "]")
