"""Closed candles as rows of `market_data`, in bulk: CSV into COPY, fixed-width fields out of the server."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl

from trading.closed_candles import Basis, ClosedCandle
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports.market_data import TAPE_SCHEMAS, TapeTable
from trading.stores.postgres.connection import Connection

# The same candles as on the tape; `pair` is written BTC/USDT, as in every table of PostgreSQL.
ROW_SCHEMA = TAPE_SCHEMAS[TapeTable.CANDLES]
REVISION_SCHEMA = pl.Schema({**CANDLE_SCHEMA, "trades": pl.Int64()})

_ORDER = ", ".join(ROW_SCHEMA)
_COPY_IN = f"COPY market_data ({_ORDER}) FROM STDIN (FORMAT csv)"
_SECONDS_1970_TO_2000 = 946_684_800  # PostgreSQL counts from 2000
_COLUMNS = {"open_time": ">i8", "open": ">f8", "high": ">f8", "low": ">f8", "close": ">f8", "volume": ">f8"}
_ROW = np.dtype([*_COLUMNS.items(), ("trades", ">i8"), ("known_at", ">i8")])
# All rows as one value of fixed-width fields, most significant byte first: the quickest way to a table.
_PACKED = " || ".join(
    ["timestamptz_send(open_time)", *(f"float8send({name})" for name in ("open", "high", "low", "close", "volume")),
     "int8send(coalesce(trades, -1))", "timestamptz_send(known_at)"]
)  # fmt: skip
SELECT_READ = "open_time, open, high, low, close, volume, trades, known_at"


def rows_of(candles: Sequence[ClosedCandle]) -> pl.DataFrame:
    """Return ROW_SCHEMA, a row per candle in their order."""
    columns: dict[str, list[Any]] = {
        name: [getattr(each, name) for each in candles] for name in ROW_SCHEMA if name not in _TEXTS
    }
    for name, text in _TEXTS.items():
        known: dict[Any, str] = {}
        columns[name] = [
            known.get(value) or known.setdefault(value, text(value))
            for value in (getattr(each, name) for each in candles)
        ]
    return pl.DataFrame(columns, schema_overrides=ROW_SCHEMA).select(ROW_SCHEMA.names())


_TEXTS: Mapping[str, Any] = {
    "pair": str,
    "timeframe": lambda timeframe: timeframe.value,
    "basis": lambda basis: basis.value,
}


def candle_from(row: Mapping[str, Any]) -> ClosedCandle:
    values = {field.name: row[field.name] for field in fields(ClosedCandle)}
    return ClosedCandle(
        **values
        | {
            "pair": Pair.parse(row["pair"]),
            "timeframe": Timeframe(row["timeframe"]),
            "basis": Basis(row["basis"]),
        }
    )


def copy_in(connection: Connection, rows: pl.DataFrame) -> None:
    with connection.cursor().copy(_COPY_IN.encode()) as copy:
        copy.write(rows.select(ROW_SCHEMA.names()).write_csv(include_header=False).encode())


def packed(query: str) -> str:
    """Return the query that gives what `query` for SELECT_READ gives, in its order, as one value."""
    return f"SELECT coalesce(string_agg({_PACKED}, ''::bytea), ''::bytea) AS rows FROM ({query}) AS selected"


def unpack(content: bytes, timeframe: Timeframe, origin: str) -> pl.DataFrame:
    """Return REVISION_SCHEMA of such a value."""
    found = np.frombuffer(content, dtype=_ROW)
    table = pl.DataFrame(
        {name: found[name].astype(found[name].dtype.newbyteorder("=")) for name in _ROW.names or ()}
    )
    times = [
        pl.from_epoch(pl.col(name) + _SECONDS_1970_TO_2000 * 1_000_000, "us").dt.replace_time_zone("UTC")
        for name in ("open_time", "known_at")
    ]
    return (
        table.with_columns(*times, trades=pl.when(pl.col("trades") >= 0).then("trades"))
        .with_columns(close_time=pl.col("open_time") + timeframe.duration, origin=pl.lit(origin))
        .select(pl.col(name).cast(kind) for name, kind in REVISION_SCHEMA.items())
    )
