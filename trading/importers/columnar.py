"""Reading of tables that carry their column names and types: Parquet and Feather."""

import polars as pl

from trading.candles import NUMBERS
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.importers.timestamps import parse_open_times

TIME_COLUMNS = ("timestamp", "date", "open_time")  # most vendors, freqtrade, our own candles
SYMBOL_COLUMNS = ("symbol", "pair")


def has_candle_columns(start: FileStart) -> bool:
    """Check that a table has a time and the five numbers of a candle."""
    return set(NUMBERS) <= set(start.columns) and not set(TIME_COLUMNS).isdisjoint(start.columns)


def to_raw_candles(table: pl.DataFrame) -> RawCandles:
    """Convert a table that `has_candle_columns` accepts."""
    time = next(name for name in TIME_COLUMNS if name in table.columns)
    symbol = next((name for name in SYMBOL_COLUMNS if name in table.columns), None)
    opens = parse_open_times(pl.col(time), table.schema[time])
    return RawCandles.from_columns(table, opens, {name: name for name in NUMBERS}, symbol)
