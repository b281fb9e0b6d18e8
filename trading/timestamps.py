"""Parsing of times as vendors write them, as UTC. What cannot be read without a guess becomes null."""

import polars as pl

from trading.market import TIME

# Each unit's number in 2001; it has one digit more in 2286. The four ranges are far apart: magnitude decides.
SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS = 10**9, 10**12, 10**15, 10**18

UNITS = {"ms": MILLISECONDS, "us": MICROSECONDS, "ns": NANOSECONDS}

TEXT_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %I:%M %p")


def parse_open_times(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Parse a column of times, numbers or texts as TIME. Times without a zone are UTC."""
    if isinstance(kind, pl.Date):
        return parse_open_times(column.cast(pl.Datetime("us"), strict=False), pl.Datetime("us"))
    if isinstance(kind, pl.Datetime):
        return _from_unit(column.cast(pl.Int64), UNITS[kind.time_unit])
    if kind == pl.String:
        return pl.coalesce(parse_epoch_time(column), parse_text_time(column))
    return parse_epoch_time(column)


def parse_epoch_time(stamp: pl.Expr) -> pl.Expr:
    """Parse seconds, milli-, micro- or nanoseconds since 1970, each value by its own magnitude."""
    number = _whole_number(stamp)
    return pl.coalesce(
        _from_unit(number, unit) for unit in (SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS)
    )


def parse_text_time(text: pl.Expr) -> pl.Expr:
    """Parse `2020-01-31 23:00:00`, with or without fraction, T, Z, clock; or `2020-01-31 11-PM`."""
    normal = (
        text.str.strip_chars()
        .str.replace(r"( UTC|Z|\+00:00)$", "")
        .str.replace("T", " ", literal=True)
        .str.replace(r"-(AM|PM)$", ":00 ${1}")
        .str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1} 00:00")
    )
    parsed = [
        normal.str.strptime(pl.Datetime("us"), file_format, strict=False) for file_format in TEXT_FORMATS
    ]
    return pl.coalesce(parsed).dt.replace_time_zone("UTC")


def _whole_number(stamp: pl.Expr) -> pl.Expr:
    """Convert to whole numbers: some vendors write 1609459200.0; a real fraction is no open time and becomes null."""
    value = stamp.cast(pl.Float64, strict=False)
    exact = pl.coalesce(stamp.cast(pl.Int64, strict=False), value.cast(pl.Int64, strict=False))
    return pl.when(value == value.floor()).then(exact)


def _from_unit(number: pl.Expr, unit: int) -> pl.Expr:
    """Null outside the years 2001 to 2286: such a number is another unit or damage. No digit is dropped."""
    if unit == NANOSECONDS:
        return pl.when((number >= unit) & (number % 1_000 == 0)).then(number // 1_000).cast(TIME)
    inside = (number >= unit) & (number < unit * 10)
    return pl.when(inside).then(number * (MICROSECONDS // unit)).cast(TIME)
