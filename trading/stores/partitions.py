"""Checks of every table store before a month is stored."""

from datetime import date

import polars as pl

from trading.errors import InvalidCandles, InvalidValue
from trading.market import TIME, Pair, month_start, next_month


def check_month(month: date) -> None:
    if month.day != 1:
        raise InvalidValue(f"{month} is not a month: name it by its first day, {month.replace(day=1)}")


def check_partition(pair: Pair, month: date, table: pl.DataFrame, schema: pl.Schema | None) -> None:
    """Raise InvalidCandles unless columns fit and every open time lies in the month, above the one before."""
    check_month(month)
    _check_columns(pair, month, table, schema)
    opens = table["open_time"]
    if opens.null_count():
        raise InvalidCandles(f"{pair} {month:%Y-%m}: {opens.null_count()} rows have no open_time")
    outside = table.filter(
        (pl.col("open_time") < month_start(month)) | (pl.col("open_time") >= month_start(next_month(month)))
    )
    if outside.height:
        raise InvalidCandles(
            f"{pair} {month:%Y-%m}: open_time {outside['open_time'][0]} lies outside that month"
        )
    disordered = table.filter(pl.col("open_time") <= pl.col("open_time").shift())
    if disordered.height:
        raise InvalidCandles(
            f"{pair} {month:%Y-%m}: open_time {disordered['open_time'][0]} is not above the one before it"
        )


def _check_columns(pair: Pair, month: date, table: pl.DataFrame, schema: pl.Schema | None) -> None:
    times = {"open_time": TIME, "close_time": TIME}
    wanted = times if schema is None else dict(schema)
    found = dict(table.schema) if schema is not None else {name: table.schema.get(name) for name in times}
    if found != wanted:
        raise InvalidCandles(f"{pair} {month:%Y-%m}: columns are {found}, wanted are {wanted}")


def concat_months(pieces: list[pl.DataFrame], pair: Pair) -> pl.DataFrame:
    """Concatenate the months. InvalidCandles when they were written with different columns."""
    try:
        return pl.concat(pieces)
    except pl.exceptions.PolarsError as error:
        raise InvalidCandles(
            f"{pair}: months have different columns ({error}); materialise the older ones again"
        ) from None
