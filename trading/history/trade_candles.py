"""Candles built from trades: equal to a venue's own candles, for any time whose trades are known."""

import polars as pl

from trading.candles import complete
from trading.errors import InvalidCandles
from trading.market import TIME, Timeframe


def candles_from_trades(trades: pl.DataFrame, timeframe: Timeframe, origin: str) -> pl.DataFrame:
    """Build CANDLE_SCHEMA from `time`, `price` and `quantity` (base currency), a candle only where something traded.

    Rows of one moment are in the order in which they traded. A decimal quantity is summed exactly. The last candle
    may not have closed yet. InvalidCandles when the rows are not in the order of time.
    """
    if not trades["time"].is_sorted():
        raise InvalidCandles(
            f"trades of {origin} are not in the order of time: no candle can be built of them"
        )
    opens = pl.col("time").cast(TIME).dt.truncate(timeframe.value)
    price = pl.col("price")
    built = trades.group_by(open_time=opens, maintain_order=True).agg(
        open=price.first(),
        high=price.max(),
        low=price.min(),
        close=price.last(),
        volume=pl.col("quantity").sum(),
    )
    return complete(built, timeframe, origin)
