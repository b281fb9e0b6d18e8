"""Which stories a search may find, as conditions that the same columns of articles and of vectors fulfil."""

from psycopg import sql

from trading.ports.news_index import NewsFilter


def conditions(wanted: NewsFilter) -> sql.Composed:
    """Write the values out: PostgreSQL then plans for these values, not for average ones."""
    each = [sql.SQL("is_story"), sql.SQL("known_at < {}").format(sql.Literal(wanted.as_of))]
    if wanted.since is not None:
        each.append(sql.SQL("known_at >= {}").format(sql.Literal(wanted.since)))
    if wanted.assets:
        each.append(sql.SQL("assets && {}::text[]").format(sql.Literal(sorted(wanted.assets))))
    return sql.SQL(" AND ").join(each)
