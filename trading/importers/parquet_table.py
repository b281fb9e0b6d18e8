"""Parquet with a time column and open, high, low, close, volume; freqtrade's Parquet among them."""

from pathlib import Path

from trading.bounded_files import read_parquet
from trading.importers.columnar import has_candle_columns, read_candle_columns
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles

NAME = "Parquet candles"
VENUE: str | None = None


def recognises(start: FileStart) -> bool:
    return start.container == "Parquet" and has_candle_columns(start)


def read(path: Path) -> RawCandles:
    return read_candle_columns(path, read_parquet)
