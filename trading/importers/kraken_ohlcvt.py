"""Kraken's downloadable OHLCVT files: unix seconds, open, high, low, close, volume, trades; no header.

https://support.kraken.com/articles/360047124832 : windows without a trade are absent.
"""

from pathlib import Path

import polars as pl

from trading.candles import NUMBERS
from trading.importers.delimited import is_number, read_text_columns
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.timestamps import SECONDS, parse_open_times

NAME = "Kraken OHLCVT CSV"
VENUE: str | None = "kraken"

COLUMNS = ("open_time", *NUMBERS, "trades")


def recognises(start: FileStart) -> bool:
    """Tell Kraken's seconds and whole counts from the milliseconds and turnover of other venues' seven columns."""
    first = start.fields(0)
    if len(first) != len(COLUMNS) or not all(map(is_number, first)):
        return False
    return SECONDS <= float(first[0]) < 10 * SECONDS and float(first[-1]).is_integer()


def read(path: Path) -> RawCandles:
    table = read_text_columns(path, 0, COLUMNS)
    whole = pl.col("trades").str.strip_chars().cast(pl.UInt32, strict=False).is_not_null()
    opens = pl.when(whole).then(parse_open_times(pl.col("open_time"), pl.String()))
    return RawCandles.from_columns(table, opens, {name: name for name in NUMBERS}, None)
