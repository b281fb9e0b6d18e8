"""Tables of months in ClickHouse: one partition per pair and month, replaced in one step.

The rows lie in `<table>_rows`, beside one marker row per month: that the month was written, and with which columns, is
replaced in the same step as its rows. People query the view `<table>`, which has the rows alone.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from trading.errors import InvalidCandles, InvalidValue, NotStored, UnreadableFile
from trading.market import Pair, month_of, month_start
from trading.stores.clickhouse.connection import ClickHouse, quoted
from trading.stores.clickhouse.types import clickhouse_type, polars_type
from trading.stores.partitions import check_month, check_partition

_OWN = {"pair": pl.String(), "month": pl.Date(), "marker": pl.Boolean(), "written": pl.String()}
_KEPT_STAGES = "1 DAY"  # a writer that was killed leaves its staging table behind
_MONTH = "pair = {pair:String} AND month = {month:Date}"


class ClickHouseTable:
    """`schema` None: any columns beside open_time and close_time, the same in all months."""

    def __init__(self, server: ClickHouse, name: str, schema: pl.Schema | None) -> None:
        self._server = server
        self._name = name
        self._schema = schema
        self._columns: set[str] = set()  # those that the stored table is known to have
        self._swept = False

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        check_partition(pair, month, table, self._schema)
        self._make_columns(pair, month, table.schema)
        self._sweep_stages()
        stage = f"{self._name}_stage_{uuid.uuid4().hex}"
        self._server.execute(f"CREATE TABLE {self._server.table(stage)} AS {self._rows}")
        try:
            self._server.insert(stage, _with_marker(pair, month, table))
            self._server.execute(
                f"ALTER TABLE {self._rows} REPLACE PARTITION ('{pair.key}', '{month.isoformat()}') "
                f"FROM {self._server.table(stage)}"
            )
        finally:
            self._server.execute(f"DROP TABLE IF EXISTS {self._server.table(stage)}")

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        check_month(month)
        try:
            found = self._query(f"SELECT * FROM {{rows}} WHERE {_MONTH}", {"pair": pair.key, "month": month})
        except NotStored:
            found = pl.DataFrame(schema=_OWN)
        if found.is_empty():
            raise NotStored(
                f"{pair} {month:%Y-%m} is not in {self._place}: materialise `{self._name}` for that month"
            )
        return self._table(pair, found, [month])

    def months(self, pair: Pair) -> list[date]:
        try:
            found = self._query(
                "SELECT month FROM {rows} WHERE pair = {pair:String} AND marker ORDER BY month",
                {"pair": pair.key},
            )
        except NotStored:
            return []
        return found["month"].to_list()

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        first, last = month_of(start), month_of(end)
        chosen = (
            "*" if columns is None else ", ".join(map(quoted, dict.fromkeys([*_OWN, "open_time", *columns])))
        )
        found = self._of_pair(
            pair,
            f"SELECT {chosen} FROM {{rows}} WHERE pair = {{pair:String}} AND (marker OR ("
            "month >= {first:Date} AND month <= {last:Date} AND open_time >= {start:DateTime64(6, 'UTC')} "
            "AND open_time < {end:DateTime64(6, 'UTC')}))",
            {"first": first, "last": last, "start": start, "end": end},
        )
        wanted = [month for month in _months_in(found) if first <= month <= last]
        return self._table(pair, found, wanted, columns)

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        found = self._of_pair(
            pair,
            "SELECT * FROM {rows} WHERE pair = {pair:String} AND marker UNION ALL "
            "SELECT * FROM (SELECT * FROM {rows} WHERE pair = {pair:String} AND NOT marker AND month <= {last:Date} "
            "AND close_time <= {until:DateTime64(6, 'UTC')} ORDER BY open_time DESC LIMIT {count:UInt64})",
            {"last": month_of(until), "until": until, "count": rows},
        )
        return self._table(pair, found, _months_in(found.filter(~pl.col("marker"))))

    @property
    def _rows(self) -> str:
        return self._server.table(f"{self._name}_rows")

    @property
    def _place(self) -> str:
        return f"{self._server.database}.{self._name} of ClickHouse at {self._server.address}"

    def _query(self, query: str, values: Mapping[str, Any]) -> pl.DataFrame:
        return self._server.query(query.replace("{rows}", self._rows), values)

    def _of_pair(self, pair: Pair, query: str, values: Mapping[str, Any]) -> pl.DataFrame:
        """Run a query that also selects the pair's markers. NotStored without one."""
        missing = f"no months of {pair} in {self._place}: materialise `{self._name}` first"
        try:
            found = self._query(query, {"pair": pair.key, **values})
        except NotStored:
            raise NotStored(missing) from None
        except InvalidValue as error:
            raise UnreadableFile(
                f"{self._place} cannot be read ({error}); materialise `{self._name}` again for {pair.key}"
            ) from None
        if found.is_empty():
            raise NotStored(missing)
        return found

    def _table(
        self, pair: Pair, found: pl.DataFrame, months: Sequence[date], columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the rows as they were written, sorted. `months` are those whose columns must be the same."""
        markers = found.filter("marker").sort("month")
        needed = markers.filter(pl.col("month").is_in(list(months))) if months else markers.tail(1)
        if needed["written"].n_unique() != 1:
            raise InvalidCandles(
                f"{pair}: months have different columns (of {self._place}); materialise the older ones again"
            )
        schema = _parse_schema(needed["written"][0])
        if self._schema is not None and columns is None and schema != self._schema:
            raise UnreadableFile(
                f"{self._place}: its columns are those of another version; materialise `{self._name}` again for "
                f"{pair.key} {needed['month'][-1]:%Y-%m}"
            )
        rows = found.filter(~pl.col("marker")).sort("open_time")
        chosen = schema if columns is None else {name: schema[name] for name in columns}
        return rows.select(pl.col(name).cast(kind) for name, kind in chosen.items())

    def _make_columns(self, pair: Pair, month: date, schema: pl.Schema) -> None:
        """Make the table, and the columns that it lacks, each with the type of its first month."""
        if taken := sorted(set(schema) & set(_OWN)):
            raise InvalidCandles(f"{pair} {month:%Y-%m}: {taken[0]} is a column of the store itself")
        if set(schema) <= self._columns:
            return
        columns = {
            name: clickhouse_type(kind, nullable=name not in ("open_time", "close_time"))
            for name, kind in schema.items()
        }
        self._server.make_once(
            f"CREATE TABLE IF NOT EXISTS {self._rows} (pair LowCardinality(String), month Date, marker Bool, "
            "written String CODEC(ZSTD), "
            f"{', '.join(f'{quoted(name)} {kind}' for name, kind in columns.items())}) "
            "ENGINE = MergeTree PARTITION BY (pair, month) ORDER BY (marker, open_time)"
        )
        for name, kind in columns.items():
            self._server.execute(f"ALTER TABLE {self._rows} ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}")
        self._server.execute(
            f"CREATE OR REPLACE VIEW {self._server.table(self._name)} AS "
            f"SELECT * EXCEPT (marker, written) FROM {self._rows} WHERE NOT marker"
        )
        self._columns |= set(schema)

    def _sweep_stages(self) -> None:
        if self._swept:
            return
        old = self._server.query(
            "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String}) "
            f"AND metadata_modification_time < now() - INTERVAL {_KEPT_STAGES}",
            {"database": self._server.database, "prefix": f"{self._name}_stage_"},
        )
        for name in old["name"]:
            self._server.execute(f"DROP TABLE IF EXISTS {self._server.table(name)}")
        self._swept = True


def _with_marker(pair: Pair, month: date, table: pl.DataFrame) -> pl.DataFrame:
    own = {"pair": pl.lit(pair.key), "month": pl.lit(month), "marker": pl.lit(False), "written": pl.lit("")}
    rows = table.with_columns(**own)
    begin = month_start(month)
    marker = pl.DataFrame(
        {
            "open_time": [begin], "close_time": [begin], "pair": [pair.key], "month": [month], "marker": [True],
            "written": [json.dumps({name: str(kind) for name, kind in table.schema.items()})],
        },
        schema_overrides={name: rows.schema[name] for name in ("open_time", "close_time")},
    )  # fmt: skip
    return pl.concat([rows, marker], how="diagonal")


def _months_in(found: pl.DataFrame) -> list[date]:
    return found["month"].unique().sort().to_list()


def _parse_schema(text: str) -> pl.Schema:
    return pl.Schema({name: polars_type(kind) for name, kind in json.loads(text).items()})
