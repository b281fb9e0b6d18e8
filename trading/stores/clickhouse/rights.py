"""Does the server answer, is it new enough, and may our user do what the stores do?"""

import uuid
from contextlib import suppress

import polars as pl

from trading.errors import MarketloomError, NotStored
from trading.stores.clickhouse.connection import ClickHouse

OLDEST = (23, 3)  # the first in which every statement of the stores is there


def check_server(server: ClickHouse) -> str:
    """Make, fill, replace and drop a small table; returns the server's version. Raises what is wrong, in words."""
    version = str(server.execute("SELECT version()"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise NotStored(
            f"ClickHouse at {server.address} is {version}: use {'.'.join(map(str, OLDEST))} or newer"
        )
    name = f"probe_{uuid.uuid4().hex}"
    table, stage = server.table(name), server.table(f"{name}_stage")
    try:
        server.make_once(
            f"CREATE TABLE IF NOT EXISTS {table} (number Int64) ENGINE = ReplacingMergeTree ORDER BY number"
        )
        server.execute(f"CREATE TABLE {stage} AS {table}")
        server.insert(f"{name}_stage", pl.DataFrame({"number": [1]}))
        server.execute(f"ALTER TABLE {table} REPLACE PARTITION tuple() FROM {stage}")
        server.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS more Nullable(Int64)")
        server.execute(f"OPTIMIZE TABLE {table} FINAL")
        server.execute(f"CREATE OR REPLACE VIEW {server.table(f'{name}_view')} AS SELECT number FROM {table}")
        server.query(f"SELECT * FROM {table} FINAL")
    finally:
        with suppress(MarketloomError):  # the first error is the one to report
            for each in (server.table(f"{name}_view"), stage, table):
                server.execute(f"DROP TABLE IF EXISTS {each}")
    return version
