"""Recorded trades in Parquet, read a slice of rows at a time."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from streaming.sandbox.market.recordings import ACCEPTED, RecordedTrade
from trading.errors import UnreadableFile
from trading.orders import Side
from trading.polars_errors import panics_as_errors

PAGE = 20_000  # trades
NAMES = {
    "at": ("timestamp", "time"),
    "price": ("price",),
    "quantity": ("amount", "quantity", "volume"),
}
NAMES_IF_KNOWN = {"side": ("side",), "order_type": ("type", "order_type")}
SIDES = {"buy": Side.BUY, "b": Side.BUY, "sell": Side.SELL, "s": Side.SELL}
ORDER_TYPES = {"market": "market", "m": "market", "limit": "limit", "l": "limit"}
WORDS: Mapping[str, Sequence[str]] = {"side": list(SIDES), "order_type": list(ORDER_TYPES)}


class ParquetPages:
    """Times without a zone are taken for UTC."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scan = pl.scan_parquet(path, glob=False)
        try:
            with panics_as_errors():
                schema = self._scan.collect_schema()
                self._rows: int = self._scan.select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UnreadableFile(f"{path} is not a Parquet file: {error}; {ACCEPTED}") from error
        self._columns = self._choose_columns(schema.names())
        if not isinstance(schema[self._columns["at"]], pl.Datetime):
            raise self._error("at", f"of type {schema[self._columns['at']]}, not a time")
        if self._rows:
            self.rows(0)  # a file of something else is refused at once

    def __len__(self) -> int:
        return -(-self._rows // PAGE)

    def begins(self, page: int) -> int:
        begin: int = self._read(page * PAGE, 1, ("at",))["at"][0]
        return begin

    def rows(self, page: int) -> Sequence[RecordedTrade]:
        return [_trade(row) for row in self._read(page * PAGE, PAGE, self._columns).iter_rows(named=True)]

    def _read(self, offset: int, count: int, names: Iterable[str]) -> pl.DataFrame:
        columns = [pl.col(self._columns[name]).alias(name) for name in names]
        words = [pl.col(name).cast(pl.String).str.to_lowercase() for name in names if name in WORDS]
        sliced = self._scan.slice(offset, count).select(columns)
        try:
            with panics_as_errors():
                table = sliced.with_columns(pl.col("at").dt.epoch("us"), *words).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UnreadableFile(f"{self._path} is damaged: {error}; {ACCEPTED}") from error
        self._check(table)
        return table

    def _check(self, table: pl.DataFrame) -> None:
        for name, kind in table.schema.items():
            valid = pl.col(name).is_in(WORDS[name]) if name in WORDS else _positive(name, kind)
            wrong = table.filter(~valid.fill_null(False))
            if wrong.height:
                raise self._error(name, f"{wrong[name][0]} in one of its rows")

    def _choose_columns(self, names: Sequence[str]) -> dict[str, str]:
        """Return the column of each meaning."""
        found = {
            meaning: name
            for meaning, spellings in (NAMES | NAMES_IF_KNOWN).items()
            for name in names
            if name in spellings
        }
        if missing := [meaning for meaning in NAMES if meaning not in found]:
            wanted = ", ".join(NAMES[meaning][0] for meaning in missing)
            raise UnreadableFile(f"{self._path} lacks {wanted}, it has {', '.join(names)}; {ACCEPTED}")
        return found

    def _error(self, name: str, what: str) -> UnreadableFile:
        return UnreadableFile(f"{self._path}: {self._columns[name]} is {what}; {ACCEPTED}")


def _positive(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if not kind.is_numeric():
        return pl.lit(False)
    return (column.is_finite() & (column > 0)) if kind.is_float() else column > 0


def _trade(row: Mapping[str, Any]) -> RecordedTrade:
    side, order_type = row.get("side"), row.get("order_type")
    return RecordedTrade(
        at=row["at"],
        price=_exact(row["price"]),
        quantity=_exact(row["quantity"]),
        side=SIDES[side] if side else None,
        order_type=ORDER_TYPES[order_type] if order_type else None,
    )


def _exact(number: float | int | Decimal) -> Decimal:
    """Return the shortest decimal that is this double: what the venue wrote before somebody made it one."""
    return Decimal(repr(number) if isinstance(number, float) else str(number))
