"""TimescaleDB is detected, never assumed. No server with it is at hand: the statements are read, not run."""

from typing import Any

import pytest

from trading.stores.postgres import Database, migrate
from trading.stores.postgres.timescale import (
    AGGREGATES,
    TimescaleDB,
    detect,
    statements,
    use_where_present,
)


class Server:
    """A database that has the extension, and notes what is run."""

    def __init__(self, **row: str) -> None:
        self.row = row
        self.ran: list[str] = []

    def execute(self, statement: str, values: object) -> list[dict[str, Any]]:
        if "pg_available_extensions" in statement:
            return [self.row]
        self.ran.append(statement)
        return []


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (None, TimescaleDB.ABSENT),
        ({"default_version": "2.17.2", "loaded": ""}, TimescaleDB.NOT_LOADED),
        ({"default_version": "2.17.2", "loaded": None}, TimescaleDB.NOT_LOADED),
        ({"default_version": "2.10.3", "loaded": "timescaledb"}, TimescaleDB.TOO_OLD),
        ({"default_version": "2.11.0", "loaded": "pg_stat_statements,timescaledb"}, TimescaleDB.READY),
        ({"default_version": "2.23.0-dev", "loaded": "timescaledb"}, TimescaleDB.READY),
    ],
)
def test_it_is_used_only_where_it_is_installed_loaded_and_new_enough(
    row: dict[str, Any] | None, state: TimescaleDB
) -> None:
    assert detect(row) is state


def test_the_embedded_server_has_none_and_its_tables_are_plain(dsn: str) -> None:
    assert use_where_present(Database(dsn)) is TimescaleDB.ABSENT
    migrate(dsn)
    with Database(dsn).transaction() as connection:
        assert (
            connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is None
        )
        kinds = connection.execute("SELECT relkind FROM pg_class WHERE relname = 'market_data'").fetchall()
    assert kinds == [{"relkind": "r"}]


def test_where_it_is_present_everything_is_run_in_order_and_may_run_again() -> None:
    server = Server(default_version="2.17.2", loaded="timescaledb")
    assert use_where_present(server) is TimescaleDB.READY  # type: ignore[arg-type]
    assert server.ran == statements()
    assert server.ran[0] == "CREATE EXTENSION IF NOT EXISTS timescaledb"
    for statement in server.ran:
        again = "IF NOT EXISTS" in statement or "if_not_exists => true" in statement
        assert again or statement.startswith("ALTER TABLE")


def test_without_it_nothing_is_run() -> None:
    server = Server(default_version="2.17.2", loaded="")
    assert use_where_present(server) is TimescaleDB.NOT_LOADED  # type: ignore[arg-type]
    assert server.ran == []


@pytest.mark.parametrize(
    ("table", "time", "segments", "order"),
    [
        ("market_data", "open_time", "origin, pair, timeframe", "open_time, known_at"),
        ("market_features", "close_time", "origin, pair, timeframe", "close_time, known_at"),
        ("account_minutes", "minute", "account", "minute"),
    ],
)
def test_a_table_becomes_a_compressed_hypertable_that_keeps_its_rows(
    dsn: str, table: str, time: str, segments: str, order: str
) -> None:
    made = [
        statement for statement in statements() if f"'{table}'" in statement or f"TABLE {table} " in statement
    ]
    assert made == [
        f"SELECT create_hypertable('{table}', '{time}', chunk_time_interval => INTERVAL '7 days', "
        "migrate_data => true, if_not_exists => true)",
        f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segments}', "
        f"timescaledb.compress_orderby = '{order}')",
        f"SELECT add_compression_policy('{table}', INTERVAL '30 days', if_not_exists => true)",
    ]
    with Database(dsn).transaction() as connection:  # the time must be part of the primary key
        key = connection.execute(
            "SELECT array_agg(attname::text) AS names FROM pg_index JOIN pg_attribute ON attrelid = indrelid "
            "AND attnum = ANY(indkey) WHERE indrelid = %s::regclass AND indisprimary",
            (table,),
        ).fetchone()
    assert key is not None
    assert {time, *segments.split(", "), *order.split(", ")} <= set(key["names"])


@pytest.mark.parametrize(("name", "bucket"), AGGREGATES.items())
def test_longer_candles_are_made_of_the_newest_revisions_with_a_trade(
    dsn: str, name: str, bucket: str
) -> None:
    [view] = [
        statement
        for statement in statements()
        if statement.startswith(f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} ")
    ]
    assert "WITH (timescaledb.continuous, timescaledb.materialized_only = false)" in view
    assert view.endswith(f"GROUP BY origin, pair, time_bucket(INTERVAL '{bucket}', bucket) WITH NO DATA")
    assert view.count("FILTER (WHERE trades IS DISTINCT FROM 0)") == 4
    assert _runs_where_its_functions_exist(dsn, view) == [(100.0, 130.0, 90.0, 120.0, 3.0)]


def _runs_where_its_functions_exist(dsn: str, view: str) -> list[tuple[float, ...]]:
    """Run the queries on plain PostgreSQL with stand-ins for time_bucket, first and last."""
    newest = _view("market_data_newest")
    time_bucket = (
        "CREATE FUNCTION pg_temp.time_bucket(step interval, at timestamptz) RETURNS timestamptz LANGUAGE sql AS "
        "$$SELECT date_bin(step, at, timestamptz '2000-01-01 00:00+00')$$"
    )
    candles = [
        # minute, revision, open, high, low, close, volume, trades
        (0, 0, 50, 50, 50, 50, 0, 0), (1, 0, 99, 99, 99, 99, 1, 1), (1, 5, 100, 105, 95, 101, 1, 1),
        (2, 0, 101, 130, 90, 120, 2, 4), (3, 0, 120, 120, 120, 120, 0, 0),
    ]  # fmt: skip
    with Database(dsn).transaction() as connection:
        for minute, late, *numbers in candles:
            connection.execute(
                "INSERT INTO market_data (origin, pair, timeframe, open_time, close_time, basis, known_at, open, high, "
                "low, close, volume, trades) "
                "SELECT 'kraken', 'BTC/USDT', '1m', at, at + interval '1 minute', 'trades', "
                "at + interval '1 minute' * (1 + %s), %s, %s, %s, %s, %s, %s "
                "FROM (SELECT timestamptz '2026-01-01 00:00+00' + interval '1 minute' * %s AS at) AS opened",
                (late, *numbers, minute),
            )
        connection.execute(time_bucket)
        inner, outer = (_plain(text) for text in (newest, view))
        query = f"WITH market_data_newest AS ({inner}) SELECT open, high, low, close, volume FROM ({outer}) AS longer"
        rows = connection.execute(query.encode()).fetchall()
    return [tuple(row.values()) for row in rows]


def _view(name: str) -> str:
    begin = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} "
    [view] = [statement for statement in statements() if statement.startswith(begin)]
    return view


def _plain(view: str) -> str:
    """Return the query of a view with arrays in place of first and last."""
    query = (
        view.split(" AS ", 1)[1].removesuffix(" WITH NO DATA").replace("time_bucket(", "pg_temp.time_bucket(")
    )
    for word, order in (("first", "ASC"), ("last", "DESC")):
        for value in ("open", "high", "low", "close", "volume", "trades"):
            for by in ("known_at", "bucket"):
                for condition in (" FILTER (WHERE trades IS DISTINCT FROM 0)", ""):
                    query = query.replace(
                        f"{word}({value}, {by}){condition}",
                        f"(array_agg({value} ORDER BY {by} {order}){condition})[1]",
                    )
    return query
