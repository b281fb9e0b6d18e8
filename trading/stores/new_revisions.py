"""Which revisions of candles a store does not have yet: the same rule for every back end."""

import polars as pl

# What names a candle; with known_at: one revision of it.
CANDLE = ("origin", "pair", "timeframe", "open_time")
VALUES = ("open", "high", "low", "close", "volume", "trades")


def new_revisions(stored: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return those of `rows` that say something new of their candle, by candle and known_at.

    Not new is what is stored already under its known_at, what equals the newest stored revision, and what equals the
    revision before it. So everything may come again, also in another order or with another known_at.
    """
    fresh = rows.unique([*CANDLE, "known_at"], keep="first", maintain_order=True)
    if stored.height:
        fresh = fresh.join(stored, on=[*CANDLE, "known_at"], how="anti")
        newest = stored.sort("known_at").unique(CANDLE, keep="last")
        fresh = fresh.join(newest, on=[*CANDLE, *VALUES], how="anti", nulls_equal=True)
    both = pl.concat([stored.with_columns(new=False), fresh.with_columns(new=True)]).sort(*CANDLE, "known_at")
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift().over(CANDLE)) for name in VALUES)
    first = pl.int_range(pl.len()).over(CANDLE) == 0
    return both.filter(pl.col("new") & (first | changed)).drop("new")
