"""Recorded trades in Parquet, one part of a row group after the other."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from streaming.sandbox.market.recordings import ACCEPTED, RecordedTrade
from trading.errors import UnreadableFile
from trading.orders import Side

PAGE = 5_000  # trades
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
    """A page is a part of a row group. Times without a zone are taken for UTC."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except pa.ArrowException as error:
            raise UnreadableFile(f"{path} is not a Parquet file: {error}; {ACCEPTED}") from error
        self._columns = self._chosen(self._file.schema_arrow.names)
        metadata = self._file.metadata
        self._pages = [
            (group, offset)
            for group in range(metadata.num_row_groups)
            for offset in range(0, metadata.row_group(group).num_rows, PAGE)
        ]
        self._begins: dict[int, list[int]] = {}  # of the pages of a row group
        self._loaded: tuple[int, pl.DataFrame] | None = None  # the row group that was read last
        if self._pages:
            self.rows(0)  # a file of something else is refused at once

    def __len__(self) -> int:
        return len(self._pages)

    def begins(self, page: int) -> int:
        group, offset = self._pages[page]
        if group not in self._begins:
            times = self._read(group, {"at": self._columns["at"]})["at"]
            self._begins[group] = times.gather_every(PAGE).to_list()
        return self._begins[group][offset // PAGE]

    def rows(self, page: int) -> Sequence[RecordedTrade]:
        group, offset = self._pages[page]
        if self._loaded is None or self._loaded[0] != group:
            self._loaded = group, self._read(group, self._columns)
        return [_recorded(row) for row in self._loaded[1].slice(offset, PAGE).iter_rows(named=True)]

    def _read(self, group: int, columns: Mapping[str, str]) -> pl.DataFrame:
        try:
            read = self._file.read_row_group(group, list(columns.values()))
        except (pa.ArrowException, OSError) as error:
            raise UnreadableFile(f"{self._path} is damaged: {error}; {ACCEPTED}") from error
        table = pl.DataFrame(pl.from_arrow(read)).select(
            pl.col(column).alias(name) for name, column in columns.items()
        )
        if not isinstance(table.schema["at"], pl.Datetime):
            raise self._refused("at", f"of type {table.schema['at']}, not a time")
        words = [name for name in WORDS if name in columns]
        table = table.with_columns(
            pl.col("at").dt.epoch("us"), *(pl.col(name).cast(pl.String).str.to_lowercase() for name in words)
        )
        self._check(table)
        return table

    def _check(self, table: pl.DataFrame) -> None:
        for name, kind in table.schema.items():
            holds = pl.col(name).is_in(WORDS[name]) if name in WORDS else _positive(name, kind)
            wrong = table.filter(~holds.fill_null(False))
            if wrong.height:
                raise self._refused(name, f"{wrong[name][0]} in one of its rows")

    def _chosen(self, names: Sequence[str]) -> dict[str, str]:
        """The column of each meaning."""
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

    def _refused(self, name: str, what: str) -> UnreadableFile:
        return UnreadableFile(f"{self._path}: {self._columns[name]} is {what}; {ACCEPTED}")


def _positive(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if not kind.is_numeric():
        return pl.lit(False)
    return (column.is_finite() & (column > 0)) if kind.is_float() else column > 0


def _recorded(row: Mapping[str, Any]) -> RecordedTrade:
    side, order_type = row.get("side"), row.get("order_type")
    return RecordedTrade(
        at=row["at"],
        price=_exact(row["price"]),
        quantity=_exact(row["quantity"]),
        side=SIDES[side] if side else None,
        order_type=ORDER_TYPES[order_type] if order_type else None,
    )


def _exact(number: float | int | Decimal) -> Decimal:
    """The shortest decimal that is this double: what the venue wrote before somebody made it one."""
    return Decimal(repr(number) if isinstance(number, float) else str(number))
