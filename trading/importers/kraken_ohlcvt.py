"""Kraken's downloadable OHLCVT files: unix seconds, open, high, low, close, volume, trades; no header.

https://support.kraken.com/articles/360047124832 : windows without a trade are absent.
"""

from pathlib import Path

import polars as pl

from trading.candles import NUMBERS
from trading.importers.delimited import is_number, null_if_cut, read_text_columns
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.importers.timestamps import parse_open_times

NAME = "Kraken OHLCVT CSV"
VENUE: str | None = "kraken"

COLUMNS = ("open_time", *NUMBERS, "trades")


def recognises(start: FileStart) -> bool:
    first = start.fields(0)
    return len(first) == len(COLUMNS) and all(map(is_number, first))


def read(path: Path) -> RawCandles:
    table = read_text_columns(path, 0, COLUMNS)
    opens = parse_open_times(null_if_cut("open_time", COLUMNS[-1]), pl.String())
    return RawCandles.from_columns(table, opens, {name: name for name in NUMBERS}, None)
