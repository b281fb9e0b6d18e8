"""The ranking of a search by meaning, which no filter can starve.

An approximate index (HNSW) is read first and filtered afterwards, and its graph may not reach a group of stories that
nothing links to. So the newest stories that match are always measured one by one; where so few match that this costs
less than the index would, all are; and so they are where the index ends before there are enough.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pgvector import Vector as PgVector
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.errors import UndefinedTable
from psycopg.rows import args_row

from trading.errors import NotStored
from trading.ports.news_index import EmbeddingVersion, NewsFilter, Vector, VectorHit
from trading.stores.postgres.connection import Connection
from trading.stores.postgres.news_filter import conditions
from trading.stores.postgres.turns import Search, in_turns

MEASURED = 1_000  # stories, the newest that match: always measured one by one
EF_SEARCH = 150  # candidates that the index keeps: https://github.com/pgvector/pgvector#query-options
# A passage from the index costs about ten times what measuring one costs: its place in the table is another each time.
INDEX_COST = 10
NEWEST = 200  # stories of which the ones without a vector are counted

_ESTIMATE = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE {wanted}")
# Of the session. A passage that is not next to the last one costs little more: all of them are in memory, and the
# planner believes in a disk. A plan that takes 3 ms needs no compiler.
SETTINGS = (
    f"-c hnsw.ef_search={EF_SEARCH} -c hnsw.iterative_scan=relaxed_order -c random_page_cost=1.1 -c jit=off"
)
_STATE = """
SELECT to_regclass(%(index)s) IS NOT NULL AS indexed,
    (SELECT reltuples FROM pg_class WHERE oid = to_regclass(%(table)s)) AS passages
"""
# The index gives up after a quarter of what measuring all would cost.
_LIMIT = "SELECT set_config('hnsw.max_scan_tuples', %s, true)"
_NEAREST = (
    "SELECT article_id, known_at, passage, vector <=> %(vector)b AS distance FROM {table} WHERE {wanted} "
)
_INDEXED = sql.SQL(_NEAREST + "ORDER BY vector::halfvec({size}) <=> %(vector)b::halfvec({size}) LIMIT {rows}")
_EXACT = sql.SQL(_NEAREST + "ORDER BY distance, article_id, passage LIMIT {rows}")
# An article has a passage 0, so that they count the stories.
_NEWEST = sql.SQL(
    _NEAREST + "AND known_at >= coalesce((SELECT known_at FROM {table} WHERE {wanted} AND passage = 0 "
    "ORDER BY known_at DESC OFFSET {newest} - 1 LIMIT 1), '-infinity') "
    "ORDER BY distance, article_id, passage LIMIT {rows}"
)
_UNEMBEDDED = sql.SQL(
    "SELECT count(*) AS stories FROM (SELECT article_id FROM news_articles WHERE dataset = {dataset} AND {wanted} "
    "ORDER BY known_at DESC, article_id DESC LIMIT {newest}) newest "
    "WHERE NOT EXISTS (SELECT FROM {table} e WHERE e.version = {key} AND e.article_id = newest.article_id)"
)


@dataclass(frozen=True, slots=True)
class _Question:
    key: str  # of the embedding version
    vector: Vector
    wanted: NewsFilter
    count: int


class NewsSearch:
    """Searches by turns, in a pipeline of the caller. Only first tellings of a story are found, never copies."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    @contextmanager
    def needs_vectors(self, version: EmbeddingVersion) -> Iterator[None]:
        """Raise NotStored where the searches inside find no table of the version, or nothing in it."""
        try:
            yield
        except UndefinedTable:
            raise NotStored(
                f"{self._dataset} has no vectors of {version}: materialise news_embeddings, all days for a back-fill "
                "after the model has changed"
            ) from None

    def nearest(
        self,
        connection: Connection,
        version: EmbeddingVersion,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
        *,
        exact: bool = False,
    ) -> Search[tuple[VectorHit, ...]]:
        """Return the stories whose nearest passage is nearest, each once."""
        if connection.adapters.types.get("vector") is None:
            register_vector(connection)
        question = _Question(version.key(self._dataset), vector, wanted, count)
        if not exact and (yield from self._is_wide(connection, question)):
            newest, older = yield from in_turns(
                _query(connection, _NEWEST, question), self._by_index(connection, question)
            )
            if len(older) == count:
                return _nearest_of((*newest, *older))[:count]
        found = yield from _query(connection, _EXACT, question)
        if not found and not _has_rows(connection, question.key):
            raise UndefinedTable
        return found

    def unembedded(
        self, connection: Connection, version: EmbeddingVersion, wanted: NewsFilter
    ) -> Search[int]:
        """Count those of the newest stories that match which have no vector of the version."""
        key = version.key(self._dataset)
        query = _UNEMBEDDED.format(
            dataset=sql.Literal(self._dataset), wanted=conditions(wanted), newest=sql.Literal(NEWEST),
            table=_table(key), key=sql.Literal(key),
        )  # fmt: skip
        counted = connection.execute(query, prepare=False)
        yield
        row = counted.fetchone()
        return int(row["stories"]) if row else 0

    def _is_wide(self, connection: Connection, asked: _Question) -> Search[bool]:
        """Tell whether the index costs less than to measure all that match, and limit what it may cost.

        The planner is asked how many do: where it is wrong, a search is slower and finds the same.
        """
        explain = _ESTIMATE.format(table=_table(asked.key), wanted=conditions(asked.wanted))
        planned = connection.execute(explain, prepare=False)
        names = {"table": f"news_embeddings_{asked.key}", "index": f"news_hnsw_{asked.key}"}
        stored = connection.execute(_STATE, names)
        yield
        plan, state = planned.fetchone(), stored.fetchone()
        assert plan is not None
        assert state is not None
        matching = max(int(plan["QUERY PLAN"][0]["Plan"]["Plan Rows"]), 1)
        index_reads = asked.count * state["passages"] / matching  # until enough of what is read match
        if not state["indexed"] or matching <= max(MEASURED, INDEX_COST * index_reads):
            return False
        connection.execute(_LIMIT, (str(max(matching // 4, 4 * EF_SEARCH)),))
        return True

    def _by_index(self, connection: Connection, asked: _Question) -> Search[tuple[VectorHit, ...]]:
        """Return stories from the index, fewer where it has given up."""
        return _query(connection, _INDEXED, asked, size=sql.Literal(len(asked.vector)))


def _query(
    connection: Connection, query: sql.SQL, asked: _Question, **more: sql.Composable
) -> Search[tuple[VectorHit, ...]]:
    rows = 2 * asked.count
    while True:  # an article may have many passages that are nearer than the next story
        statement = query.format(
            table=_table(asked.key), wanted=conditions(asked.wanted), newest=sql.Literal(MEASURED),
            rows=sql.Literal(rows), **more,
        )  # fmt: skip
        cursor = connection.cursor(row_factory=args_row(VectorHit))
        cursor.execute(statement, {"vector": PgVector(asked.vector)}, prepare=False)
        yield
        hits = cursor.fetchall()
        found = _nearest_of(hits)
        if len(found) >= asked.count or len(hits) < rows:
            return found[: asked.count]
        rows *= 8


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
