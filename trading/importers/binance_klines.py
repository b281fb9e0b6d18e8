"""Binance klines as CSV: twelve columns, with or without a header, stamps or text dates.

Column order: https://github.com/binance/binance-public-data#klines
"""

from pathlib import Path

import polars as pl

from trading.candles import NUMBERS
from trading.errors import UnreadableFile
from trading.importers.delimited import is_number, null_if_cut, read_text_columns
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.timestamps import parse_open_times

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


# Binance puts this header on futures; its spot files have none.
# https://github.com/binance/binance-public-data/issues/283
FUTURES_HEADER = ("open_time", *NUMBERS, "close_time", "quote_volume", "count", "taker_buy_volume",
                  "taker_buy_quote_volume", "ignore")  # fmt: skip


def recognises(start: FileStart) -> bool:
    first = start.fields(0)
    return len(first) == len(COLUMNS) and (_is_header(first) or all(map(is_number, first[1:])))


def read(path: Path) -> RawCandles:
    first = FileStart.read(path).fields(0)
    if first == FUTURES_HEADER:
        raise UnreadableFile(
            f"{path} has the header that Binance puts on derivatives, and only spot candles are imported: "
            "fetch the spot file; if this is one all the same, remove its first line"
        )
    skip = 1 if _is_header(first) else 0
    table = read_text_columns(path, skip, COLUMNS)
    opens = parse_open_times(null_if_cut("open_time", COLUMNS[-1]), pl.String())
    return RawCandles.from_columns(table, opens, {name: name for name in NUMBERS}, None)


def _is_header(fields: tuple[str, ...]) -> bool:
    return fields[1:6] == NUMBERS
