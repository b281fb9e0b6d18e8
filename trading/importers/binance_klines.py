"""Binance klines as CSV: twelve columns, with or without a header, stamps or text dates.

Column order: https://github.com/binance/binance-public-data#klines
"""

from pathlib import Path

import polars as pl

from trading.candles import NUMBERS
from trading.importers.delimited import is_number, read_texts, unless_cut
from trading.importers.file_start import Head
from trading.importers.raw_candles import RawCandles
from trading.importers.timestamps import open_times

NAME = "Binance klines CSV"
VENUE: str | None = "binance"

COLUMNS = (
    "open_time",
    *NUMBERS,
    "close_time",
    "quote_volume",
    "trades",
    "taker_base_volume",
    "taker_quote_volume",
    "ignore",
)


def recognises(head: Head) -> bool:
    first = head.fields(0)
    return len(first) == len(COLUMNS) and (_is_header(first) or all(map(is_number, first[1:])))


def read(path: Path) -> RawCandles:
    skip = 1 if _is_header(Head.of(path).fields(0)) else 0
    table = read_texts(path, skip, COLUMNS)
    opens = open_times(unless_cut("open_time", COLUMNS[-1]), pl.String())
    return RawCandles.of(table, opens, {name: name for name in NUMBERS}, None)


def _is_header(fields: tuple[str, ...]) -> bool:
    return fields[1:6] == NUMBERS
