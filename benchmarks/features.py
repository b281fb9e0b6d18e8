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

from benchmarks.row import Benchmark, Call, Row, best, row, seconds
from trading.candles import complete
from trading.closed_candles import Basis, ClosedCandle
from trading.fills import Costs
from trading.indicators import FEATURES, companions_of, feature_table, live_row, lookback
from trading.indicators.formulas import newest_values
from trading.indicators.live_window import window_rows
from trading.indicators.price_arrays import price_arrays
from trading.live_features import LiveFeatures
from trading.market import TIME, Pair, Timeframe, Universe

CANDLES = 525_600
ROUNDS = 8
STREAMED = 200  # candles that close one after the other
BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
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


def feature_row_stream() -> Iterator[Row]:
    """Close candle after candle of three pairs that are compared with each other."""
    for timeframe in (Timeframe.H1, Timeframe.M1):
        universe = Universe((BTC, XRP, CROSS), "USDT", timeframe, "simulated")
        size = window_rows(timeframe)
        walk = _walk(size + STREAMED, timeframe)
        history, costs = walk[:size], dict.fromkeys(universe.pairs, Costs(0.0026, 0.0001, 0.0002))
        live = LiveFeatures(universe, [timeframe], costs, lambda: lambda *_: history, lambda *_: None)  # noqa: B023
        batches = [
            [_closed(pair, timeframe, row) for pair in universe.pairs]
            for row in walk[size:].iter_rows(named=True)
        ]
        taken = iter(batches)
        live.add(next(taken), batches[0][0].known_at)  # compiles

        def close_next(taken: Iterator[list[ClosedCandle]] = taken, live: LiveFeatures = live) -> None:
            candles = next(taken)
            assert len(live.add(candles, candles[0].known_at)) == len(candles)

        ours = min(seconds(close_next) for _ in range(STREAMED - 1)) / len(universe.pairs)
        window = walk.tail(lookback(timeframe) + 1)
        compared = companions_of(XRP, universe, costs, lambda _: window)  # noqa: B023
        naive = best(lambda: feature_table(window, timeframe, compared).tail(1), ROUNDS)  # noqa: B023
        yield row(
            "feature_row_stream",
            f"a closed {timeframe.value} candle into its window of {size:,}, and its row of {len(FEATURES)} features "
            "with two other pairs, its regime and when it was known; per pair",
            ours * 1e6,
            "us",
            f"feature_table over the {window.height:,} candles, and its last row",
            naive * 1e6,
            target=">= 5 x peer",
            packages=PACKAGES,
        )


def _closed(pair: Pair, timeframe: Timeframe, candle: dict[str, Any]) -> ClosedCandle:
    return ClosedCandle(
        origin="simulated",
        pair=pair,
        timeframe=timeframe,
        open_time=candle["open_time"],
        open=candle["open"],
        high=candle["high"],
        low=candle["low"],
        close=candle["close"],
        volume=candle["volume"],
        trades=1,
        first_trade_id=None,
        last_trade_id=None,
        basis=Basis.TRADES,
        known_at=candle["known_at"],
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


BENCHMARKS: dict[str, Benchmark] = {
    "features_year": features_year,
    "feature_row_live": feature_row_live,
    "feature_row_stream": feature_row_stream,
}
