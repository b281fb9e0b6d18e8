"""The tape in ClickHouse: rows that come twice become one, when parts are merged and before that for every reader."""

from datetime import datetime

import polars as pl

from trading.market import Pair
from trading.ports import TapeTable
from trading.ports.market_data import TAPE_KEYS, TAPE_SCHEMAS
from trading.stores.clickhouse.connection import ClickHouse, quoted
from trading.stores.clickhouse.types import clickhouse_type
from trading.stores.tape_rows import check_rows, each_once, time_column

# The server gathers the inserts of several writers into one part, and answers when that is on its disk.
DURABLE_BATCHES = {"async_insert": 1, "wait_for_async_insert": 1}
_ALWAYS_THERE = {"origin", "pair", "timeframe", "at", "open_time", "close_time", "known_at"}


class ClickHouseTape:
    """One ReplacingMergeTree per table, `tape_trades` and so on, a partition per month."""

    def __init__(self, server: ClickHouse) -> None:
        self._server = server

    def append(self, table: TapeTable, rows: pl.DataFrame, batch: str) -> None:
        """Insert the rows; keys alone de-duplicate, `batch` is not stored."""
        check_rows(table, rows)
        if rows.is_empty():
            return
        self._server.make_once(create_statement(self._server.table(name_of(table)), table))
        self._server.insert(name_of(table), rows, DURABLE_BATCHES)

    def read(self, table: TapeTable, origin: str, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        time, schema = time_column(table), TAPE_SCHEMAS[table]
        found = self._query(
            table,
            f"SELECT {', '.join(map(quoted, schema))} FROM {{table}} FINAL "
            "WHERE origin = {origin:String} AND pair = {pair:String} AND "
            f"{time} >= {{start:DateTime64(6, 'UTC')}} AND {time} < {{end:DateTime64(6, 'UTC')}} "
            "SETTINGS do_not_merge_across_partitions_select_final = 1",  # a key lies in one month alone
            {"origin": origin, "pair": pair.key, "start": start, "end": end},
        )
        return each_once(table, found.select(pl.col(name).cast(kind) for name, kind in schema.items()))

    def rows(self, table: TapeTable, origin: str) -> int:
        found = self._query(
            table, "SELECT count() AS rows FROM {table} WHERE origin = {origin:String}", {"origin": origin}
        )
        return int(found["rows"][0])

    def newest(self, table: TapeTable, origin: str, pair: Pair) -> datetime | None:
        found = self._query(
            table,
            f"SELECT max({time_column(table)}) AS newest, count() AS rows FROM {{table}} "
            "WHERE origin = {origin:String} AND pair = {pair:String}",
            {"origin": origin, "pair": pair.key},
        )
        newest: datetime | None = found["newest"][0] if found["rows"][0] else None
        return newest

    def compact(self, before: datetime) -> None:
        """Merge each finished month to one part."""
        for table in TapeTable:
            found = self._query(
                table,
                "SELECT partition FROM system.parts WHERE active AND database = {database:String} "
                "AND table = {name:String} GROUP BY partition HAVING count() > 1",
                {"database": self._server.database, "name": name_of(table)},
            )
            for partition in found["partition"]:
                if int(partition) < before.year * 100 + before.month:
                    self._server.execute(
                        f"OPTIMIZE TABLE {self._server.table(name_of(table))} PARTITION {int(partition)} FINAL"
                    )

    def _query(self, table: TapeTable, query: str, values: dict[str, object]) -> pl.DataFrame:
        name = self._server.table(name_of(table))
        self._server.make_once(create_statement(name, table))
        return self._server.query(query.replace("{table}", name), values)


def name_of(table: TapeTable) -> str:
    return f"tape_{table.value}"


def create_statement(name: str, table: TapeTable) -> str:
    """Return the table's definition. Of rows with the same key the one that was known first stays.

    ReplacingMergeTree keeps the highest version and wants it unsigned: the time counted down.
    """
    columns = [
        f"{quoted(column)} {clickhouse_type(kind, nullable=column not in _ALWAYS_THERE)}"
        for column, kind in TAPE_SCHEMAS[table].items()
    ]
    columns.append(
        "version UInt64 MATERIALIZED 18446744073709551615 - toUInt64(toUnixTimestamp64Micro(known_at))"
    )
    time = time_column(table)
    first = [each for each in ("origin", "pair", "timeframe", time) if each in TAPE_KEYS[table]]
    # Readers ask for a pair's time.
    keys = [*first, *(each for each in TAPE_KEYS[table] if each not in first)]
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}) ENGINE = ReplacingMergeTree(version) "
        f"PARTITION BY toYYYYMM({time}) ORDER BY ({', '.join(keys)}) SETTINGS allow_nullable_key = 1"
    )
