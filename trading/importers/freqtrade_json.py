"""freqtrade's JSON files: a list of [milliseconds, open, high, low, close, volume]."""

import json
import re
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from trading.bounded_files import read_text
from trading.candles import NUMBERS
from trading.errors import UnreadableFile
from trading.importers.file_start import FileStart
from trading.importers.raw_candles import RawCandles
from trading.timestamps import parse_epoch_time

NAME = "freqtrade JSON"
VENUE: str | None = None

COLUMNS = ("time", *NUMBERS)
ROW_OF_SIX = re.compile(r"\[\s*\[[^\[\],\"]+(,[^\[\],\"]+){5}\]")


def recognises(start: FileStart) -> bool:
    return start.container == "text" and ROW_OF_SIX.match("".join(start.lines).lstrip()) is not None


def read(path: Path) -> RawCandles:
    rows = _parse(read_text(path))
    if not all(isinstance(row, list) and len(row) == len(COLUMNS) for row in rows):
        raise UnreadableFile(f"{path} has rows that are not [milliseconds, open, high, low, close, volume]")
    # Floats hold milliseconds and microseconds exactly; a text among the numbers raises.
    table = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.Float64), orient="row")
    return RawCandles.from_columns(
        table, parse_epoch_time(pl.col("time")), {name: name for name in NUMBERS}, None
    )


def _parse(text: bytes) -> Any:
    """Parse JSON, also with NaN and Infinity, which Python and pandas write: the rows' checks count those."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
