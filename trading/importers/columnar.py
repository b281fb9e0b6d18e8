"""Reading of tables that carry their column names and types: Parquet and Feather."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from trading.candles import NUMBERS
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.timestamps import parse_open_times

TIME_COLUMNS = ("timestamp", "date", "open_time")  # most vendors, freqtrade, our own candles
SYMBOL_COLUMNS = ("symbol", "pair")

Reader = Callable[[Path, Sequence[str]], pl.DataFrame]


def has_candle_columns(start: FileStart) -> bool:
    """Check that a table has a time and the five numbers of a candle."""
    return set(NUMBERS) <= set(start.columns) and not set(TIME_COLUMNS).isdisjoint(start.columns)


def read_candle_columns(path: Path, read: Reader) -> RawCandles:
    """Read the candle columns of a table that `has_candle_columns` accepts."""
    columns = FileStart.read(path).columns
    time = next(name for name in TIME_COLUMNS if name in columns)
    symbol = next((name for name in SYMBOL_COLUMNS if name in columns), None)
    table = read(path, [time, *NUMBERS, *([symbol] if symbol else [])])
    opens = parse_open_times(pl.col(time), table.schema[time])
    return RawCandles.from_columns(table, opens, {name: name for name in NUMBERS}, symbol)
