"""Features: a year of minutes, and one row from a warm window, each beside TA-Lib's own calls.

Both sides of a comparison run in the same process on the same candles; the best of several rounds counts,
the others measure what else the machine was doing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import talib

from benchmarks.row import Benchmark, Call, Row, best, row
from trading.candles import complete
from trading.indicators import FEATURES, feature_table, live_row, lookback
from trading.indicators.formulas import newest_values
from trading.indicators.price_arrays import price_arrays
from trading.market import TIME, Timeframe

CANDLES = 525_600
ROUNDS = 8
PACKAGES = ("numpy", "polars", "numba", "TA-Lib")
Array = npt.NDArray[np.float64]


def features_year() -> Iterator[Row]:
    candles = _walk(CANDLES, Timeframe.M1)
    prices = _prices(candles)
    ours = best(lambda: feature_table(candles, Timeframe.M1), ROUNDS)
    peer = best(lambda: _talib(*prices), ROUNDS)
    yield row(
        "features_year",
        f"table of {len(FEATURES)} features and the regime over {CANDLES:,} one-minute candles: checks, formulas on "
        "two threads, Polars columns",
        ours * 1e3,
        "ms",
        f"TA-Lib's calls for the indicators that it has of these, one after the other: {len(_talib(*prices))} "
        "arrays, nothing else",
        peer * 1e3,
        target=">= 1 x peer",
        packages=PACKAGES,
    )


def feature_row_live() -> Iterator[Row]:
    for timeframe in (Timeframe.H1, Timeframe.M1):
        window = _walk(lookback(timeframe) + 1, timeframe)
        prices = _prices(window.tail(1001))
        arrays = price_arrays(window, timeframe)
        peer = _microseconds(lambda prices=prices: _talib(*prices))
        for what, call in (
            ("from a table of candles", lambda window=window, frame=timeframe: live_row(window, frame)),
            ("from checked arrays that a warm process keeps", lambda arrays=arrays: newest_values(arrays)),
        ):
            ours = _microseconds(call)
            yield row(
                "feature_row_live",
                f"newest row of {len(FEATURES)} features at {timeframe.value}, window of "
                f"{arrays.size:,} candles, {what}",
                ours,
                "us",
                "TA-Lib's calls for the indicators that it has of these, over 1,001 candles",
                peer,
                target="microseconds: < 500 us",
                packages=PACKAGES,
            )


def _talib(high: Array, low: Array, close: Array, volume: Array) -> list[Any]:
    """Every indicator of the feature table that TA-Lib has, by its own call; the results are kept, as a table is."""
    balance = talib.OBV(close, volume)
    return [
        *(talib.EMA(close, length) for length in (9, 20, 21, 50)), talib.SMA(close, 200),
        talib.ADX(high, low, close, 14), talib.PLUS_DI(high, low, close, 14),
        talib.MINUS_DI(high, low, close, 14), talib.AROONOSC(high, low, 25), talib.SAR(high, low, 0.02, 0.2),
        talib.LINEARREG_SLOPE(close, 14), *talib.MACD(close, 12, 26, 9), talib.RSI(close, 14),
        talib.ROCP(close, 10), *talib.STOCH(high, low, close, 14, 3, slowd_period=3),
        talib.CCI(high, low, close, 20), talib.WILLR(high, low, close, 14),
        talib.MFI(high, low, close, volume, 14), talib.TRIX(close, 15), talib.ATR(high, low, close, 14),
        talib.ATR(high, low, close, 20), *talib.BBANDS(close, 20, 2, 2), talib.STDDEV(close, 24),
        talib.PERCENTRANK(close, 200), balance, talib.SMA(balance, 50), talib.STDDEV(balance, 50),
        talib.SMA(volume, 20), talib.ADOSC(high, low, close, volume, 3, 10),
        talib.VWAP(high, low, close, volume), talib.MAX(high, 200), talib.MIN(low, 200), talib.ER(close, 10),
    ]  # fmt: skip


def _walk(count: int, timeframe: Timeframe) -> pl.DataFrame:
    random = np.random.default_rng(0)
    close = 30_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count)))
    opened = np.append(30_000.0, close[:-1])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = pl.datetime_range(
        start, start + (count - 1) * timeframe.duration, timeframe.duration, time_unit="us", eager=True
    )
    frame = pl.DataFrame(
        {
            "open_time": times.cast(TIME),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + np.abs(random.normal(0, 3e-4, count))),
            "low": np.minimum(opened, close) * (1 - np.abs(random.normal(0, 3e-4, count))),
            "close": close,
            "volume": random.exponential(50, count),
        }
    )
    return complete(frame, timeframe, "simulated")


def _prices(candles: pl.DataFrame) -> tuple[Array, ...]:
    return tuple(candles[name].to_numpy() for name in ("high", "low", "close", "volume"))


def _microseconds(call: Call, calls: int = 100) -> float:
    def repeat() -> None:
        for _ in range(calls):
            call()

    return best(repeat, ROUNDS) / calls * 1e6


BENCHMARKS: dict[str, Benchmark] = {"features_year": features_year, "feature_row_live": feature_row_live}
