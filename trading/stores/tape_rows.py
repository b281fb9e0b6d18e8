"""Rows of the tape: what every back end checks before it stores them, and how it makes each row one row."""

from datetime import datetime

import polars as pl

from trading.errors import InvalidValue
from trading.ports import TapeTable
from trading.ports.market_data import TAPE_KEYS, TAPE_SCHEMAS


def time_column(table: TapeTable) -> str:
    """Return the column that says when a row belongs."""
    return "open_time" if table is TapeTable.CANDLES else "at"


def check_rows(table: TapeTable, rows: pl.DataFrame) -> None:
    """Raise InvalidValue unless the columns are those of the table and each row has a place and a time."""
    if rows.schema != TAPE_SCHEMAS[table]:
        raise InvalidValue(
            f"tape {table.value}: columns are {dict(rows.schema)}, wanted are {dict(TAPE_SCHEMAS[table])}"
        )
    for name in ("origin", "pair", time_column(table), "known_at"):
        if rows[name].null_count():
            raise InvalidValue(f"tape {table.value}: {rows[name].null_count()} rows have no {name}")


def each_once(table: TapeTable, rows: pl.DataFrame) -> pl.DataFrame:
    """Sort by time and known_at and keep one row of each key, the one that was known first."""
    first = (time_column(table), "known_at")
    order = [*first, *(name for name in TAPE_KEYS[table] if name not in first)]
    return rows.sort(order).unique(TAPE_KEYS[table], keep="first", maintain_order=True)


def inside(table: TapeTable, origin: str, start: datetime, end: datetime) -> pl.Expr:
    """Select the rows of an origin in [start, end)."""
    time = pl.col(time_column(table))
    return (pl.col("origin") == origin) & (time >= start) & (time < end)
