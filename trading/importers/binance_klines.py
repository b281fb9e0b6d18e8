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

CONTRACTS = (10, 100)  # dollars; a contract on BTC is 100, on any other coin 10
MAX_ROUNDING = 0.05


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
    if _counts_contracts(table):
        raise UnreadableFile(
            f"{path} counts its volume in contracts of 10 or 100 dollars: it holds derivatives margined in coins, and "
            "only spot candles are imported; fetch the spot file"
        )
    opens = parse_open_times(null_if_cut("open_time", COLUMNS[-1]), pl.String())
    return RawCandles.from_columns(table, opens, {name: name for name in NUMBERS}, None)


def _counts_contracts(table: pl.DataFrame) -> bool:
    """Return whether the traded value is a fixed number of dollars per unit of volume; on spot it is the price."""
    names = ("high", "low", "close", "volume", "quote_volume")
    numbers = table.select(pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in names)
    paid = pl.col("quote_volume") / pl.col("volume")
    dollars = paid * pl.col("close")
    fixed = pl.any_horizontal((dollars / contract - 1).abs() < MAX_ROUNDING for contract in CONTRACTS)
    price = paid.is_between(pl.col("low") * (1 - MAX_ROUNDING), pl.col("high") * (1 + MAX_ROUNDING))
    share = numbers.filter(pl.col("volume") > 0).select((fixed & ~price).mean()).item()
    return share is not None and share > 0.9  # the close is not the price of every trade


def _is_header(fields: tuple[str, ...]) -> bool:
    return fields[1:6] == NUMBERS
