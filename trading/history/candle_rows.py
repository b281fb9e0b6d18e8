"""Candles as a response gives them, open time and five numbers, checked before anything else uses them."""

from collections.abc import Iterable
from datetime import UTC, datetime

import polars as pl

from trading.candles import NUMBERS, violations
from trading.errors import InvalidMessage
from trading.market import EPOCH, TIME, Timeframe

ROW_SCHEMA = pl.Schema({"open_time": TIME, **dict.fromkeys(NUMBERS, pl.Float64())})
# Microseconds since 1970 (UTC), open, high, low, close, volume.
CandleRow = tuple[int, float, float, float, float, float]
MIN_TIME = 0
MAX_TIME = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def candle_table(candles: Iterable[CandleRow], timeframe: Timeframe, what: str) -> pl.DataFrame:
    """Build a sorted table without duplicates. InvalidMessage, naming `what`, for candles that cannot be.

    The same candle twice is one candle; two candles of the same time that differ are none.
    """
    listed = list(candles)
    if late := [candle[0] for candle in listed if not MIN_TIME <= candle[0] < MAX_TIME]:
        raise InvalidMessage(what, f"a candle opens {late[0]} microseconds after 1970")
    table = pl.DataFrame(listed, schema={**ROW_SCHEMA, "open_time": pl.Int64()}, orient="row")
    table = table.with_columns(pl.col("open_time").cast(TIME)).unique().sort("open_time")
    for broken in violations(table, timeframe).head(1).iter_rows(named=True):
        raise InvalidMessage(what, f"candle of {broken['open_time']}: {broken['rule']} ({broken['detail']})")
    return table


def microseconds(time: datetime) -> int:
    return (time - EPOCH) // datetime.resolution
