"""Parquet with a time column and open, high, low, close, volume; freqtrade's Parquet among them."""

from pathlib import Path
from typing import cast

import polars as pl

from trading.importers.columnar import from_table, has_candle_columns
from trading.importers.file_start import Head
from trading.importers.raw_candles import RawCandles

NAME = "Parquet candles"
VENUE: str | None = None


def recognises(head: Head) -> bool:
    return head.container == "Parquet" and has_candle_columns(head)


def read(path: Path) -> RawCandles:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
    return from_table(cast(pl.DataFrame, pl.from_arrow(table)))
