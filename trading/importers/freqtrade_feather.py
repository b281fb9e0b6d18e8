"""freqtrade's Feather files: `date`, open, high, low, close, volume."""

from pathlib import Path
from typing import cast

import polars as pl

from trading.importers.columnar import has_candle_columns, to_raw_candles
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles

NAME = "freqtrade Feather"
VENUE: str | None = None


def recognises(start: FileStart) -> bool:
    return start.container == "Feather" and has_candle_columns(start)


def read(path: Path) -> RawCandles:
    import pyarrow.feather

    return to_raw_candles(
        cast(pl.DataFrame, pl.from_arrow(pyarrow.feather.read_table(path, memory_map=False)))
    )
