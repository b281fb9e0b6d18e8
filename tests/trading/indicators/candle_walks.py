"""Candle tables for tests of features: random walks, markets at rest, and what venues recorded."""

from datetime import UTC, datetime
from functools import cache, reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from trading.candles import complete
from trading.indicators import FEATURE_NAMES, feature_table
from trading.market import CANDLE_SCHEMA, Timeframe

START = datetime(2024, 1, 1, tzinfo=UTC)
RECORDED = Path(__file__).parents[3] / "../shared/data/ohlcv"
PRICES = ("open", "high", "low", "close")
H1, M1 = Timeframe.H1, Timeframe.M1
Array = npt.NDArray[np.float64]


def table(
    high: Array, low: Array, close: Array, volume: Array, timeframe: Timeframe = H1, start: datetime = START
) -> pl.DataFrame:
    opens = [start + row * timeframe.duration for row in range(len(close))]
    closes = [time + timeframe.duration for time in opens]
    first = np.concatenate([close[:1], close[:-1]])
    columns = (opens, closes, first, high, low, close, volume, ["simulated"] * len(close), closes)
    return pl.DataFrame(dict(zip(CANDLE_SCHEMA, columns, strict=True)), schema=CANDLE_SCHEMA)


def candles(
    count: int, seed: int = 0, tick: float = 0.0, still: float = 0.0, timeframe: Timeframe = H1,
    start: datetime = START,
) -> pl.DataFrame:  # fmt: skip
    """A random walk near 100, on a price grid when `tick` is given, resting in a share of `still` candles."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 0.005, count) * (np.repeat(rng.random(count // 20 + 1), 20)[:count] >= still)
    close = 100 * np.exp(moves.cumsum())
    spread = np.abs(rng.normal(0, 0.003, (2, count))) * (moves != 0)
    before = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(before, close) * (1 + spread[0])
    low = np.minimum(before, close) * (1 - spread[1])
    volume = rng.exponential(50, count) * (moves != 0)
    if tick:
        high, low, close = (np.round(prices / tick) * tick for prices in (high, low, close))
    return table(high, low, close, volume, timeframe, start)


def holed(frame: pl.DataFrame, seed: int, share: float = 0.1) -> pl.DataFrame:
    """Drop a share of the candles, some alone and some in long runs."""
    rng = np.random.default_rng(seed)
    remaining = (rng.random(frame.height) >= share / 2) & (
        np.repeat(rng.random(frame.height // 40 + 1), 40)[: frame.height] >= share / 2
    )
    return frame.filter(pl.Series(remaining))


def flat(price: float, count: int = 400, volume: float = 1.0) -> pl.DataFrame:
    same = np.full(count, price)
    return table(same, same, same, np.full(count, volume))


@cache
def recorded(name: str, timeframe: Timeframe) -> pl.DataFrame:
    path = RECORDED / f"{name}.parquet"
    if not path.exists():
        pytest.skip("no recorded candles here")
    frame = pl.read_parquet(path).unique("timestamp").sort("timestamp").rename({"timestamp": "open_time"})
    return complete(frame, timeframe, "recorded")


def recorded_closes(*names: str) -> list[Array]:
    """Closes of the hours that each of the recordings has."""
    frames = [recorded(name, H1).select("open_time", pl.col("close").alias(name)) for name in names]
    shared = reduce(lambda one, other: one.join(other, on="open_time"), frames).sort("open_time")
    return [shared[name].to_numpy() for name in names]


@cache
def market() -> pl.DataFrame:
    return candles(1600, seed=1)


def values(features: pl.DataFrame) -> Array:
    """Feature columns as numbers; NaN stands for null."""
    return features.select(FEATURE_NAMES).to_numpy()


def arrays(frame: pl.DataFrame) -> tuple[Array, Array, Array, Array]:
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    return high, low, close, volume


def newest(frame: pl.DataFrame, timeframe: Timeframe = H1) -> dict[str, float]:
    return dict(feature_table(frame, timeframe).select(FEATURE_NAMES).row(-1, named=True))


def assert_same_row(found: Array, expected: Array, whole: Array) -> None:
    """To 1e-9 of the value, or of the feature's spread where the value is near zero; unknown where unknown."""
    allowed = 1e-9 * np.maximum(np.abs(expected), np.nanstd(whole, axis=0))
    same = (np.abs(found - expected) <= allowed) | (np.isnan(found) & np.isnan(expected))
    assert same.all(), {
        name: (one, other)
        for name, one, other, right in zip(FEATURE_NAMES, found, expected, same, strict=True)
        if not right
    }
