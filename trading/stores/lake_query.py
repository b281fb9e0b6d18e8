"""SQL over the Parquet lake, with DuckDB in memory: it reads the files and locks none."""

import glob
from pathlib import Path

import polars as pl

from trading.errors import InvalidValue, NotStored, UnreadableFile
from trading.stores.lake import PART


def run_sql(lake: Path, query: str) -> pl.DataFrame:
    """Run one query; every table folder in `lake` is a view of its name, with `pair` and `month` as columns.

    Times are UTC. Raises NotStored when the lake holds no table, InvalidValue when DuckDB refuses the query.
    """
    import duckdb  # takes 60 ms that only queries need

    tables = sorted({part.parents[2] for part in lake.glob(f"*/pair=*/month=*/{PART}")})
    if not tables:
        raise NotStored(f"no tables in {lake}: materialise `ohlcv` first")
    with duckdb.connect(
        ":memory:", config={"TimeZone": "UTC", "autoinstall_known_extensions": False}
    ) as database:
        try:
            for table in tables:
                parts = f"{glob.escape(str(table))}/pair=*/month=*/{PART}"
                database.read_parquet(parts, hive_partitioning=True, union_by_name=True).create_view(
                    table.name
                )
        except duckdb.Error as error:
            raise UnreadableFile(f"{table}: {error}; materialise the months that it names again") from None
        try:
            if [each.type for each in duckdb.extract_statements(query)] != [duckdb.StatementType.SELECT]:
                raise InvalidValue("only one SELECT is allowed: the lake is written by assets alone")
            result: pl.DataFrame = database.sql(query).pl()
            return result
        except duckdb.Error as error:
            raise InvalidValue(f"the query failed: {error}") from None
