"""The ranking of a search by words: the newest stories that hold all words of a question, then those that hold some."""

from datetime import datetime

from psycopg import sql
from psycopg.rows import tuple_row

from trading.errors import InvalidValue
from trading.ports.news_index import MAX_QUERY, NewsFilter, TextHit
from trading.stores.postgres.connection import Connection
from trading.stores.postgres.news_filter import conditions
from trading.stores.postgres.turns import Search

NEWEST = 200  # stories that hold some of the words, which are ranked
# Where so many of these hold all words, all words are common: then the newest are read one by one until there are
# enough. The index of words would give every story of all time that holds them, in no order.
MIN_COMMON = 2
READ = 4_000  # stories, and no more: the older ones may be others

# Words joined by "and", and the same joined by "or": whatever a person writes, it is no syntax.
_EVERY = sql.SQL("plainto_tsquery('english', {})")
_SOME = sql.SQL("replace(plainto_tsquery('english', {})::text, ' & ', ' | ')::tsquery")
_FOUND = "SELECT article_id, known_at, words @@ {every} AS has_all, ts_rank(words, {some}, 1) AS rank FROM "
_STORIES = "news_articles WHERE dataset = {dataset} AND {wanted} "
_BY_TIME = "ORDER BY known_at DESC, article_id DESC "
_NEWEST = sql.SQL(f"{_FOUND}{_STORIES} AND words @@ {{some}} {_BY_TIME} LIMIT {{newest}}")
_READ = sql.SQL(
    f"{_FOUND} (SELECT article_id, known_at, words FROM {_STORIES} {_BY_TIME} LIMIT {{read}}) stories "
    "WHERE words @@ {every} LIMIT {count}"
)
_LOOKED_UP = sql.SQL(
    f"{_FOUND}{_STORIES} AND words @@ {{every}} AND {{unless_read}} {_BY_TIME} LIMIT {{count}}"
)
# Asked once, before any is looked up: where all that match were read, the index of words knows no more.
_UNLESS_READ = sql.SQL(f"EXISTS (SELECT FROM {_STORIES} OFFSET {{read}})")

_Found = tuple[str, datetime, bool, float]  # a row of these queries


class NewsWords:
    """Searches by turns, in a pipeline of the caller."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    def matching(
        self, connection: Connection, text: str, wanted: NewsFilter, count: int
    ) -> Search[tuple[TextHit, ...]]:
        """Rank the newest stories with all words of the text before the newest with some."""
        if len(text) > MAX_QUERY:
            raise InvalidValue(
                f"the question has {len(text)} characters; at most {MAX_QUERY} are searched for"
            )
        values: dict[str, sql.Composable] = {
            "dataset": sql.Literal(self._dataset), "wanted": conditions(wanted), "count": sql.Literal(count),
            "every": _EVERY.format(sql.Literal(text)), "some": _SOME.format(sql.Literal(text)),
            "newest": sql.Literal(NEWEST), "read": sql.Literal(READ), "unless_read": sql.SQL("true"),
        }  # fmt: skip
        found = yield from _ask(connection, _NEWEST.format(**values))
        common = sum(has_all for _, _, has_all, _ in found)
        if len(found) == NEWEST and common < count:
            older: list[_Found] = []
            if common >= MIN_COMMON:
                older = yield from _ask(connection, _READ.format(**values))
                values["unless_read"] = _UNLESS_READ.format(**values)
            if len(older) < count:
                older += yield from _ask(connection, _LOOKED_UP.format(**values))
            found += older
        by_id = sorted({row[0]: row for row in found}.values())
        ranked = sorted(by_id, key=lambda row: (row[2], row[3], row[1]), reverse=True)
        return tuple(TextHit(article, known_at) for article, known_at, _, _ in ranked[:count])


def _ask(connection: Connection, query: sql.Composed) -> Search[list[_Found]]:
    cursor = connection.cursor(row_factory=tuple_row)
    cursor.execute(query, prepare=False)
    yield
    return cursor.fetchall()
