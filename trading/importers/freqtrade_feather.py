"""freqtrade's Feather files: `date`, open, high, low, close, volume."""

from pathlib import Path
from typing import cast

import polars as pl

from trading.importers.columnar import from_table, has_candle_columns
from trading.importers.file_start import Head
from trading.importers.raw_candles import RawCandles

NAME = "freqtrade Feather"
VENUE: str | None = None


def recognises(head: Head) -> bool:
    return head.container == "Feather" and has_candle_columns(head)


def read(path: Path) -> RawCandles:
    import pyarrow.feather

    return from_table(cast(pl.DataFrame, pl.from_arrow(pyarrow.feather.read_table(path, memory_map=False))))
