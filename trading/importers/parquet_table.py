"""Parquet with a time column and open, high, low, close, volume; freqtrade's Parquet among them."""

from pathlib import Path
from typing import cast

import polars as pl

from trading.importers.columnar import has_candle_columns, to_raw_candles
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles

NAME = "Parquet candles"
VENUE: str | None = None


def recognises(start: FileStart) -> bool:
    return start.container == "Parquet" and has_candle_columns(start)


def read(path: Path) -> RawCandles:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
    return to_raw_candles(cast(pl.DataFrame, pl.from_arrow(table)))
