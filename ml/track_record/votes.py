"""Votes as they were recorded, and what followed each of them."""

from datetime import datetime, timedelta

import polars as pl

from ml.agents.opinions import Action
from trading.market import Timeframe

UNKNOWN_REGIME = "unknown"
NOBODY = "none"  # the model of an abstention for want of one
SIDES = {str(Action.LONG): 1, str(Action.SHORT): -1}


def one_vote_per_candle(votes: pl.DataFrame) -> pl.DataFrame:
    """Keep one vote of each agent's model on a candle, a traded one before one in shadow mode; in order of time.

    Where nobody could be asked there is no judge.
    """
    keys = ["agent", "model", "pair", "closed_at"]
    return (
        votes.filter(pl.col("model") != NOBODY)
        .sort("shadow", "decision_id")
        .unique(keys, keep="first", maintain_order=True)
        .sort("closed_at", "pair", "agent", "model")
    )


def with_outcomes(
    votes: pl.DataFrame, candles: pl.DataFrame, timeframe: Timeframe, horizon: int, until: datetime
) -> pl.DataFrame:
    """Add to the votes on one pair `direction` (1, -1, 0), `outcome`, `rise_rate` and `window`.

    `outcome` is the return over `horizon` candles, `rise_rate` the share of all candles in the votes' time after which
    the price rose over so many.

    It runs from the open of the candle after the vote to the open `horizon` candles later. Votes without both opens,
    or whose second one had not closed its candle at `until`, are left out: nobody knew their outcome. `window` numbers
    the spans of `horizon` candles since 1970: outcomes within one overlap, and are no independent evidence.
    """
    step: timedelta = timeframe.duration
    opens = candles.select("open_time", "open")
    entry = opens.rename({"open_time": "closed_at", "open": "entry"})
    ends = opens.select(closed_at=pl.col("open_time") - horizon * step, exit=pl.col("open"))
    known = (
        entry.join(ends, on="closed_at", how="inner")
        .filter(pl.col("closed_at") + (horizon + 1) * step <= until)
        .select("closed_at", outcome=pl.col("exit") / pl.col("entry") - 1)
    )
    judged = known.filter(pl.col("closed_at").is_between(votes["closed_at"].min(), votes["closed_at"].max()))
    return votes.join(known, on="closed_at", how="inner", maintain_order="left").with_columns(
        direction=pl.col("action").replace_strict(SIDES, default=0, return_dtype=pl.Int8),
        rise_rate=pl.lit(judged.select((pl.col("outcome") > 0).mean()).item(), dtype=pl.Float64),
        window=pl.col("closed_at").dt.epoch("us") // (horizon * step // timedelta(microseconds=1)),
    )
