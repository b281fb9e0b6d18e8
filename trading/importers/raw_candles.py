"""The rows of a file as they are, and the same rows as numbers: what every format reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from trading.candles import NUMBERS
from trading.importers.file_start import FileStart


@dataclass(frozen=True, slots=True)
class RawCandles:
    """Row i of `numbers` is row i of `source`: open_time (UTC) and five floats, null where unreadable."""

    source: pl.DataFrame
    numbers: pl.DataFrame
    symbols: tuple[str, ...]  # distinct spellings of a symbol column; empty when the file has none

    @classmethod
    def from_columns(
        cls, source: pl.DataFrame, open_time: pl.Expr, columns: dict[str, str], symbol: str | None
    ) -> "RawCandles":
        """Parse the numbers; `columns` maps open, high, low, close and volume to the columns of `source`."""
        values = {name: _number(source, columns[name]) for name in NUMBERS}
        symbols = source[symbol].cast(pl.String).drop_nulls().unique().sort().to_list() if symbol else []
        return cls(source, source.select(open_time=open_time, **values), tuple(symbols))


class FileFormat(Protocol):
    """One file format; each is a module of this package."""

    NAME: str
    VENUE: str | None  # the venue whose own format it is

    def recognises(self, start: FileStart) -> bool: ...

    def read(self, path: Path) -> RawCandles:
        """Read the whole file in its own order. May raise what its parser raises: the caller names the file."""


def _number(source: pl.DataFrame, column: str) -> pl.Expr:
    text = source.schema[column] == pl.String
    value = pl.col(column).str.strip_chars() if text else pl.col(column)
    return value.cast(pl.Float64, strict=False)
