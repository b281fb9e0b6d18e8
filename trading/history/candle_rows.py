"""Candles as an answer gives them: open time and five numbers, checked before anything else believes them."""

from collections.abc import Iterable
from datetime import UTC, datetime

import polars as pl

from trading.candles import NUMBERS, violations
from trading.errors import InvalidMessage
from trading.market import TIME, Timeframe

ROWS = pl.Schema({"open_time": TIME, **dict.fromkeys(NUMBERS, pl.Float64())})
Row = tuple[
    int, float, float, float, float, float
]  # microseconds since 1970 (UTC), open, high, low, close, volume
EARLIEST = 0
LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def rows(candles: Iterable[Row], timeframe: Timeframe, what: str) -> pl.DataFrame:
    """A sorted table without duplicates. InvalidMessage, naming `what`, for candles that cannot be.

    The same candle twice is one candle; two candles of the same time that differ are none.
    """
    listed = list(candles)
    if late := [candle[0] for candle in listed if not EARLIEST <= candle[0] < LATEST]:
        raise InvalidMessage(what, f"a candle opens {late[0]} microseconds after 1970")
    table = pl.DataFrame(listed, schema={**ROWS, "open_time": pl.Int64()}, orient="row")
    table = table.with_columns(pl.col("open_time").cast(TIME)).unique().sort("open_time")
    for broken in violations(table, timeframe).head(1).iter_rows(named=True):
        raise InvalidMessage(what, f"candle of {broken['open_time']}: {broken['rule']} ({broken['detail']})")
    return table


def microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution
