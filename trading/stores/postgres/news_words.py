"""The ranking of a search by words: the newest stories that hold all words of a question, then those that hold some."""

from psycopg import sql

from trading.errors import InvalidValue
from trading.ports.news_index import MAX_QUERY, NewsFilter, TextHit
from trading.stores.postgres.connection import Connection
from trading.stores.postgres.news_filter import conditions

NEWEST = 200  # stories that hold some of the words, which are ranked
# Where so many of these hold all words, all words are common: then the newest are read one by one until there are
# enough. The index of words would give every story of all time that holds them, in no order.
MIN_COMMON = 2
READ = 4_000  # stories, and no more: the older ones may be others

# Words joined by "and", and the same joined by "or": whatever a person writes, it is no syntax.
_EVERY = sql.SQL("plainto_tsquery('english', {})")
_SOME = sql.SQL("replace(plainto_tsquery('english', {})::text, ' & ', ' | ')::tsquery")
# Each part is run only where those before it leave room: a CTE that nothing reads costs nothing.
_FOUND = "article_id, known_at, words @@ {every} AS has_all, ts_rank(words, {some}, 1) AS rank"
_MATCHING = sql.SQL(
    f"WITH newest AS MATERIALIZED (SELECT {_FOUND} FROM news_articles "
    "WHERE dataset = {dataset} AND {wanted} AND words @@ {some} "
    "ORDER BY known_at DESC, article_id DESC LIMIT {newest}), "
    "counted AS MATERIALIZED (SELECT count(*) FILTER (WHERE has_all) AS common, count(*) = {newest} "
    "AND count(*) FILTER (WHERE has_all) < {count} AS too_few FROM newest), "
    f"read AS MATERIALIZED (SELECT {_FOUND} FROM (SELECT article_id, known_at, words FROM news_articles "
    "WHERE dataset = {dataset} AND {wanted} ORDER BY known_at DESC, article_id DESC LIMIT {read}) stories "
    "WHERE (SELECT too_few AND common >= {common} FROM counted) AND words @@ {every} LIMIT {count}), "
    f"looked_up AS (SELECT {_FOUND} FROM news_articles "
    "WHERE (SELECT too_few AND (SELECT count(*) FROM read) < {count} FROM counted) "
    "AND dataset = {dataset} AND {wanted} AND words @@ {every} "
    "ORDER BY known_at DESC, article_id DESC LIMIT {count}) "
    "SELECT article_id, known_at FROM (TABLE newest UNION TABLE read UNION TABLE looked_up) found "
    "ORDER BY has_all DESC, rank DESC, known_at DESC, article_id LIMIT {count}"
)


class NewsWords:
    """Searches inside a transaction of the caller."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    def matching(
        self, connection: Connection, text: str, wanted: NewsFilter, count: int
    ) -> tuple[TextHit, ...]:
        """Rank the newest stories with all words of the text before the newest with some."""
        if len(text) > MAX_QUERY:
            raise InvalidValue(
                f"the question has {len(text)} characters; at most {MAX_QUERY} are searched for"
            )
        query = _MATCHING.format(
            dataset=sql.Literal(self._dataset), wanted=conditions(wanted), every=_EVERY.format(sql.Literal(text)),
            some=_SOME.format(sql.Literal(text)), newest=sql.Literal(NEWEST), common=sql.Literal(MIN_COMMON),
            read=sql.Literal(READ), count=sql.Literal(count),
        )  # fmt: skip
        return tuple(TextHit(**row) for row in connection.execute(query, prepare=False).fetchall())
