"""Tables that carry their column names and types: Parquet and Feather."""

import polars as pl

from trading.candles import NUMBERS
from trading.importers.file_start import Head
from trading.importers.raw_candles import RawCandles
from trading.importers.timestamps import open_times

TIME_COLUMNS = ("timestamp", "date", "open_time")  # most vendors, freqtrade, our own candles
SYMBOL_COLUMNS = ("symbol", "pair")


def has_candle_columns(head: Head) -> bool:
    return set(NUMBERS) <= set(head.columns) and not set(TIME_COLUMNS).isdisjoint(head.columns)


def from_table(table: pl.DataFrame) -> RawCandles:
    """Takes what `has_candle_columns` accepts."""
    time = next(name for name in TIME_COLUMNS if name in table.columns)
    symbol = next((name for name in SYMBOL_COLUMNS if name in table.columns), None)
    opens = open_times(pl.col(time), table.schema[time])
    return RawCandles.of(table, opens, {name: name for name in NUMBERS}, symbol)
