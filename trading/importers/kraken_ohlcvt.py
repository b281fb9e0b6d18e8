"""Kraken's downloadable OHLCVT files: unix seconds, open, high, low, close, volume, trades; no header.

https://support.kraken.com/articles/360047124832 : windows without a trade are absent.
"""

from pathlib import Path

import polars as pl

from trading.candles import NUMBERS
from trading.importers.delimited import is_number, read_texts, unless_cut
from trading.importers.file_start import Head
from trading.importers.raw_candles import RawCandles
from trading.importers.timestamps import open_times

NAME = "Kraken OHLCVT CSV"
VENUE: str | None = "kraken"

COLUMNS = ("open_time", *NUMBERS, "trades")


def recognises(head: Head) -> bool:
    first = head.fields(0)
    return len(first) == len(COLUMNS) and all(map(is_number, first))


def read(path: Path) -> RawCandles:
    table = read_texts(path, 0, COLUMNS)
    opens = open_times(unless_cut("open_time", COLUMNS[-1]), pl.String())
    return RawCandles.of(table, opens, {name: name for name in NUMBERS}, None)
