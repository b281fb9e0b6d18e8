"""Polars types as ClickHouse types."""

import polars as pl

from trading.errors import InvalidValue
from trading.market import TIME

_TYPES: dict[pl.DataType, str] = {
    TIME: "DateTime64(6, 'UTC')",
    pl.String(): "String",
    pl.Float64(): "Float64",
    pl.Float32(): "Float32",
    pl.Boolean(): "Bool",
    pl.Int8(): "Int8",
    pl.Int16(): "Int16",
    pl.Int32(): "Int32",
    pl.Int64(): "Int64",
    pl.UInt8(): "UInt8",
    pl.UInt16(): "UInt16",
    pl.UInt32(): "UInt32",
    pl.UInt64(): "UInt64",
    pl.List(pl.Float64()): "Array(Float64)",
}
_NAMES = {str(kind): kind for kind in _TYPES}


def clickhouse_type(kind: pl.DataType, *, nullable: bool) -> str:
    """Return the column type. Few different words are stored as numbers. InvalidValue for a type without one."""
    found = _TYPES.get(kind)
    if found is None:
        raise InvalidValue(f"ClickHouse stores no column of type {kind}: use {', '.join(_NAMES)}")
    if not nullable or found.startswith("Array"):
        return "LowCardinality(String)" if found == "String" else found
    return "LowCardinality(Nullable(String))" if found == "String" else f"Nullable({found})"


def polars_type(name: str) -> pl.DataType:
    """Return the type whose `str` this is."""
    return _NAMES[name]
