"""freqtrade's Feather files: `date`, open, high, low, close, volume."""

from pathlib import Path

from trading.bounded_files import read_feather
from trading.importers.columnar import has_candle_columns, read_candle_columns
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles

NAME = "freqtrade Feather"
VENUE: str | None = None


def recognises(start: FileStart) -> bool:
    return start.container == "Feather" and has_candle_columns(start)


def read(path: Path) -> RawCandles:
    return read_candle_columns(path, read_feather)
