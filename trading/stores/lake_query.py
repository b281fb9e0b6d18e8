"""SQL over the Parquet lake, with DuckDB in memory: it reads the files and locks none."""

import glob
import re
from datetime import date
from pathlib import Path

import polars as pl

from trading.errors import InvalidValue, NotStored, UnreadableFile
from trading.polars_errors import panics_as_errors
from trading.sealed_parquet import check_seal
from trading.stores.lake import PART, place_of

_PARTS = f"pair=*/month=*/{PART}"
_INDIRECT = r"\bquery(_table)?\b|\bread_|parquet"  # what reads a table without its name in the query
MAX_ROWS = 1_000_000  # of an answer: more is a mistake, or a file to be read with another tool
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "TimeZone": "UTC",
    "memory_limit": "2GB",
    "temp_directory": "",  # nothing is written, a query that needs more memory fails
    "autoinstall_known_extensions": False,
    "python_enable_replacements": False,
}
_LOCKED = (  # what a query may no longer reach, once the views exist
    "set allowed_directories = ['{folder}', '{pattern}']",  # DuckDB asks for the pattern and for what it finds
    "set enable_external_access = false",
    "set autoload_known_extensions = false",
    "set lock_configuration = true",
)


def run_sql(lake: Path, query: str) -> pl.DataFrame:
    """Run one query; every table folder in `lake` is a view of its name, with `pair` and `month` as columns.

    It reaches no other file, no variable of ours, no network and no setting. Times are UTC. Raises NotStored when the
    lake holds no table, UnreadableFile for a damaged part of a table that it names, InvalidValue when DuckDB refuses
    it.
    """
    import duckdb  # takes 60 ms that only queries need

    tables = sorted({part.parents[2] for part in lake.glob(f"*/{_PARTS}")})
    if not tables:
        raise NotStored(f"no tables in {lake}: materialise `ohlcv` first")
    for table in tables:
        if re.search(rf"\b{re.escape(table.name)}\b|{_INDIRECT}", query, re.IGNORECASE):
            _check_parts(table)
    with duckdb.connect(":memory:", config=_CONFIG) as database:
        try:
            for table in tables:
                parts = f"{glob.escape(str(table))}/{_PARTS}"
                view = database.read_parquet(parts, hive_partitioning=True, union_by_name=True)
                view.create_view(table.name)
        except duckdb.Error as error:
            raise UnreadableFile(f"{table}: {error}; materialise the months that it names again") from None
        folder = str(lake).replace("'", "''")
        for setting in _LOCKED:
            database.execute(setting.format(folder=folder, pattern=glob.escape(folder)))
        try:
            if [each.type for each in duckdb.extract_statements(query)] != [duckdb.StatementType.SELECT]:
                raise InvalidValue("only one SELECT is allowed: the lake is written by assets alone")
            with panics_as_errors():
                result: pl.DataFrame = database.sql(query).limit(MAX_ROWS + 1).pl()
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise InvalidValue(f"the query failed: {error}") from None
    if result.height > MAX_ROWS:
        raise InvalidValue(f"the answer has more than {MAX_ROWS:,} rows: aggregate, or add LIMIT")
    _check_times(result)
    return result


def _check_times(result: pl.DataFrame) -> None:
    """Refuse what DuckDB takes for a time and Polars panics at when it is shown: infinity, and far years."""
    for name, kind in result.schema.items():
        if kind == pl.Date or (isinstance(kind, pl.Datetime) and kind.time_unit == "us"):
            first, last = pl.Series([date.min, date.max]).cast(kind).to_physical()
            if not result[name].to_physical().is_between(first, last).all():
                raise InvalidValue(
                    f"column {name} has a time outside the years 1 to 9999: show it with ::varchar"
                )


def _check_parts(table: Path) -> None:
    for part in table.glob(_PARTS):
        try:
            check_seal(part.read_bytes(), place_of(part))
        except pl.exceptions.PolarsError as error:
            month, pair = (folder.name.partition("=")[2] for folder in part.parents[:2])
            raise UnreadableFile(
                f"{part}: {error}; materialise `{table.name}` again for {pair} {month[:7]}"
            ) from None
