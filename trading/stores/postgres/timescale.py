"""Hypertables, compression and continuous aggregates, where the server has TimescaleDB. Not run against one yet.

Nothing depends on them: without TimescaleDB the same tables are plain ones. Every statement may be run again.
"""

from enum import StrEnum
from typing import Any

from trading.stores.postgres.connection import Database

EXTENSION = "timescaledb"
OLDEST = (2, 11)  # the first that takes a late row into a compressed chunk with a primary key
CHUNK, COMPRESS_AFTER, REFRESH_FROM = "7 days", "30 days", "40 days"


class TimescaleDB(StrEnum):
    """What a server has of it."""

    ABSENT = "absent"
    NOT_LOADED = "not loaded"  # installed, but not in shared_preload_libraries: using it would fail
    TOO_OLD = "too old"
    READY = "ready"


_DETECT = """
SELECT default_version, current_setting('shared_preload_libraries', true) AS loaded
FROM pg_available_extensions WHERE name = 'timescaledb'
"""
SERIES = "origin, pair, timeframe"
# Time, what a chunk is compressed by, and how it is sorted.
HYPERTABLES = {
    "market_data": ("open_time", SERIES, "open_time, known_at"),
    "market_features": ("close_time", SERIES, "close_time, known_at"),
    "account_minutes": ("minute", "account", "minute"),
}
AGGREGATES = {"market_data_1h": "1 hour", "market_data_1d": "1 day"}


def detect(row: dict[str, Any] | None) -> TimescaleDB:
    """Judge the row of pg_available_extensions; None: the server does not know the extension."""
    if row is None:
        return TimescaleDB.ABSENT
    if EXTENSION not in (row["loaded"] or ""):
        return TimescaleDB.NOT_LOADED
    version = tuple(int(part) for part in str(row["default_version"]).split("-")[0].split(".")[:2])
    return TimescaleDB.READY if version >= OLDEST else TimescaleDB.TOO_OLD


def use_where_present(database: Database) -> TimescaleDB:
    """Detect TimescaleDB and make use of it; returns what was found."""
    found = database.execute(_DETECT, {})
    state = detect(found[0] if found else None)
    if state is TimescaleDB.READY:
        for statement in statements():
            database.execute(statement, {})
    return state


def statements() -> list[str]:
    """Return everything to run, in order, each by itself."""
    made = [f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}"]
    for table, (time, segments, order) in HYPERTABLES.items():
        made += _hypertable(table, time, segments, order)
    made += _aggregate("market_data_newest", _NEWEST_REVISIONS)
    for name, bucket in AGGREGATES.items():
        made += _aggregate(name, _LONGER_CANDLES.format(bucket=bucket))
    return made


def _hypertable(table: str, time: str, segments: str, order: str) -> list[str]:
    return [
        f"SELECT create_hypertable('{table}', '{time}', chunk_time_interval => INTERVAL '{CHUNK}', "
        "migrate_data => true, if_not_exists => true)",
        f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segments}', "
        f"timescaledb.compress_orderby = '{order}')",
        f"SELECT add_compression_policy('{table}', INTERVAL '{COMPRESS_AFTER}', if_not_exists => true)",
    ]


# Of each one-minute candle its newest revision: a restatement within REFRESH_FROM is taken up.
_NEWEST_REVISIONS = """
SELECT origin, pair, time_bucket(INTERVAL '1 minute', open_time) AS bucket,
    last(open, known_at) AS open, last(high, known_at) AS high, last(low, known_at) AS low,
    last(close, known_at) AS close, last(volume, known_at) AS volume, last(trades, known_at) AS trades
FROM market_data WHERE timeframe = '1m'
GROUP BY origin, pair, time_bucket(INTERVAL '1 minute', open_time)
"""
# A minute without a trade has the price before it, which is no price of its own time.
_LONGER_CANDLES = """
SELECT origin, pair, time_bucket(INTERVAL '{bucket}', bucket) AS open_time,
    first(open, bucket) FILTER (WHERE trades IS DISTINCT FROM 0) AS open,
    max(high) FILTER (WHERE trades IS DISTINCT FROM 0) AS high,
    min(low) FILTER (WHERE trades IS DISTINCT FROM 0) AS low,
    last(close, bucket) FILTER (WHERE trades IS DISTINCT FROM 0) AS close,
    sum(volume) AS volume, sum(trades) AS trades
FROM market_data_newest
GROUP BY origin, pair, time_bucket(INTERVAL '{bucket}', bucket)
"""


def _aggregate(name: str, query: str) -> list[str]:
    return [
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} WITH (timescaledb.continuous, "
        f"timescaledb.materialized_only = false) AS {' '.join(query.split())} WITH NO DATA",
        f"SELECT add_continuous_aggregate_policy('{name}', start_offset => INTERVAL '{REFRESH_FROM}', "
        "end_offset => INTERVAL '2 days', schedule_interval => INTERVAL '1 hour', if_not_exists => true)",
    ]
