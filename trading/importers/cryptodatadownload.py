"""CryptoDataDownload CSV: a banner, a header with a symbol column, two volumes, newest row first.

Older files spell the time `2019-12-15 07-PM`; newer ones have a `unix` column beside `2019-12-15 19:00:00`.
"""

from pathlib import Path

import polars as pl

from trading.candles import PRICES
from trading.errors import UnreadableFile
from trading.importers.delimited import read_text_columns
from trading.importers.file_names import pair_from_symbol
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.timestamps import parse_epoch_time, parse_text_time

NAME = "CryptoDataDownload CSV"
VENUE: str | None = None  # it republishes many venues; only the file's name says which

UNIX_COLUMNS = ("unix", "unix timestamp")


def recognises(start: FileStart) -> bool:
    return _header_line(start) is not None


def read(path: Path) -> RawCandles:
    start = FileStart.read(path)
    header = _header_line(start)
    assert header is not None, "read takes what recognises accepted"
    columns = start.fields(header)
    table = read_text_columns(path, header + 1, columns)
    numbers = {name: name for name in PRICES} | {"volume": _base_volume(path, table, columns)}
    return RawCandles.from_columns(table, _open_time(columns), numbers, "symbol")


def _header_line(start: FileStart) -> int | None:
    needed = {"date", "symbol", *PRICES}
    for line in range(min(2, len(start.lines))):
        fields = start.fields(line)
        if needed <= set(fields) and any(field.split(" ")[0] == "volume" for field in fields):
            return line
    return None


def _open_time(columns: tuple[str, ...]) -> pl.Expr:
    """Parse the open time; null where a file gives the time twice and the two disagree."""
    date = parse_text_time(pl.col("date"))
    for unix in UNIX_COLUMNS:
        if unix in columns:
            stamp = parse_epoch_time(pl.col(unix))
            return pl.when(stamp == date).then(stamp)
    return date


def _base_volume(path: Path, table: pl.DataFrame, columns: tuple[str, ...]) -> str:
    """Name the base volume's column; the other volume column counts the quote currency."""
    symbols = table["symbol"].drop_nulls().unique().sort().to_list()
    for pair in filter(None, map(pair_from_symbol, symbols)):
        for base in (pair.base, "XBT" if pair.base == "BTC" else pair.base):
            if (name := f"volume {base.lower()}") in columns:
                return name
    # Gemini's, in the base currency.
    if [name for name in columns if name.startswith("volume")] == ["volume"]:
        return "volume"
    raise UnreadableFile(
        f"{path} has no volume column in the base currency of {symbols[:5]}: {', '.join(columns)}"
    )
