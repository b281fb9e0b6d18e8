"""The features of closed candles: one definition for training, back-test, paper and live.

A row uses its own candle and those before it, nothing later. Indicators run over the candles that exist: a
gap is not filled, so ten candles back may be more than ten candle lengths ago.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
import talib

from trading.errors import InvalidCandles, NotStored
from trading.indicators.registry import FEATURE_NAMES, FEATURES, Family, Feature
from trading.indicators.windows import ROUNDING, Array, changes, flat, mean, over_windows, ratio, unmoved


# Candles before the first wanted row that make it independent of where history starts, to 1e-9. The slowest
# memory is EMA 50: (49/51)^n is below 1e-12 from n = 691 on; 1000 leave room for a start at a hundred times
# the price.
LOOKBACK = 1000


@dataclass(frozen=True, slots=True)
class _Bars:
    high: Array
    low: Array
    close: Array
    volume: Array

    @property
    def typical(self) -> Array:
        return (self.high + self.low + self.close) / 3


def feature_table(candles: pl.DataFrame) -> pl.DataFrame:
    """One row per candle: `open_time, close_time, known_at` and every feature, null inside its warm-up only.

    `candles` has CANDLE_SCHEMA and is sorted; InvalidCandles names the first open time that is out of order
    or has an impossible number. `known_at` is the latest among the candles that the row is made of.
    """
    _refuse_disorder(candles)
    values = _values(_bars(candles)) if candles.height else dict.fromkeys(FEATURE_NAMES, np.empty(0))
    times = candles.select(
        "open_time",
        "close_time",
        pl.col("known_at").rolling_max(window_size=LOOKBACK + 1, min_samples=1),
    )
    return times.with_columns(_column(feature, values[feature.name]) for feature in FEATURES)


def live_row(candles: pl.DataFrame) -> dict[str, float]:
    """The newest candle's features, from the last LOOKBACK + 1 candles: the same as its row in the table.

    Raises NotStored, naming the feature that needs most, while there are too few candles.
    """
    slowest = max(FEATURES, key=lambda feature: feature.warm_up)
    if candles.height <= slowest.warm_up:
        raise NotStored(
            f"{slowest.name} needs {slowest.warm_up + 1} candles and there are {candles.height}: "
            "store more history before this one"
        )
    newest = feature_table(candles.tail(LOOKBACK + 1)).row(-1, named=True)
    return {name: float(newest[name]) for name in FEATURE_NAMES}


def _column(feature: Feature, values: Array) -> pl.Series:
    column = np.array(values, dtype=np.float64)
    column[: feature.warm_up] = np.nan
    return pl.Series(feature.name, column, dtype=pl.Float64).fill_nan(None)


def _refuse_disorder(candles: pl.DataFrame) -> None:
    prices, volume = pl.col("high", "low", "close"), pl.col("volume")
    possible = pl.all_horizontal(prices.is_finite() & (prices > 0), volume.is_finite() & (volume >= 0))
    _refuse(
        candles.filter(pl.col("open_time").diff() <= pl.duration()),
        "does not come after the one before: sort the candles and drop repeats",
    )
    _refuse(
        candles.filter(~possible.fill_null(False)),
        "has a missing or impossible number: prices must be above zero, volume not below it",
    )


def _refuse(wrong: pl.DataFrame, fault: str) -> None:
    if wrong.height:
        raise InvalidCandles(f"the candle of {wrong['open_time'][0]} {fault}")


def _bars(candles: pl.DataFrame) -> _Bars:
    """Prices near 1, far from what TA-Lib takes for zero; scaling by a power of two changes no digit."""
    high, low, close, volume = (candles[name].to_numpy() for name in ("high", "low", "close", "volume"))
    scale = 2.0 ** -round(math.log2(close[0]))
    return _Bars(high * scale, low * scale, close * scale, volume)


def _values(bars: _Bars) -> dict[str, Array]:
    return {**_trend(bars), **_momentum(bars), **_volatility(bars), **_volume(bars)}


def _trend(bars: _Bars) -> dict[str, Array]:
    close = bars.close
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    return {
        **{f"ema_{length}_ratio": close / talib.EMA(close, length) - 1 for length in (9, 21, 50)},
        "sma_200_ratio": close / talib.SMA(close, 200) - 1,
        **_directional_movement(bars),
        "macd_line": line / close,
        "macd_signal": signal / close,
        "macd_histogram": histogram / close,
    }


def _directional_movement(bars: _Bars) -> dict[str, Array]:
    """Wilder's +DI, -DI and ADX.

    TA-Lib's ADX lets rounding decide when the high rises by as many ticks as the low falls, common on a coarse
    price grid, and keeps its last value while nothing moves.
    """
    up, down = changes(bars.high), -changes(bars.low)
    tick = ROUNDING * bars.close
    true_range = talib.TRANGE(bars.high, bars.low, bars.close)
    range_average = talib.RMA(true_range, 14)
    moves = (range_average > 0) & ~unmoved(true_range)

    def indicator(step: Array, opposite: Array) -> Array:
        movement = np.where((step > opposite + tick) & (step > tick), step, 0.0)
        movement[0] = np.nan
        return ratio(talib.RMA(movement, 14), range_average, moves, otherwise=0.0)

    plus, minus = indicator(up, down), indicator(down, up)
    index = ratio(np.abs(plus - minus), plus + minus, plus + minus > 0, otherwise=0.0)
    index[:14] = np.nan
    return {"adx_14": talib.RMA(index, 14), "plus_di_14": plus, "minus_di_14": minus}


def _momentum(bars: _Bars) -> dict[str, Array]:
    high, low, close = bars.high, bars.low, bars.close
    still = flat(high, low, 14)
    position = np.where(still, 0.5, talib.STOCHF(high, low, close, 14, 1)[0] / 100)
    position[:13] = np.nan
    stochastic_k = mean(position, 3)
    return {
        "log_return": _log_return(close),
        "roc_10": talib.ROCP(close, 10),
        "rsi_14": np.where(unmoved(changes(close)), 0.5, talib.RSI(close, 14) / 100),
        "stochastic_k": stochastic_k,
        "stochastic_d": mean(stochastic_k, 3),
        "cci_20": np.where(flat(bars.typical, bars.typical, 20), 0.0, talib.CCI(high, low, close, 20) / 100),
        "williams_r": np.where(still, -0.5, talib.WILLR(high, low, close, 14) / 100),
        "mfi_14": _money_flow(bars),
    }


def _volatility(bars: _Bars) -> dict[str, Array]:
    high, low, close = bars.high, bars.low, bars.close
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    width = upper - lower
    channel = 1.5 * talib.ATR(high, low, close, 20)
    moves = channel > ROUNDING * close
    squeeze = ratio(width / 2, channel, moves, otherwise=1.0)
    squeeze[:20] = np.nan
    return {
        "atr_14_share": talib.ATR(high, low, close, 14) / close,
        "bollinger_width": width / middle,
        "bollinger_percent_b": ratio(close - lower, width, width > ROUNDING * close, otherwise=0.5),
        "keltner_position": ratio(close - talib.EMA(close, 20), channel, moves, otherwise=0.0),
        "squeeze_ratio": squeeze,
        "squeeze_lowest": over_windows(squeeze, 10, lambda windows: windows.min(axis=1)),
        "realised_volatility": np.sqrt(mean(_log_return(close) ** 2, 24)),
        "parkinson": np.sqrt(mean(np.log(high / low) ** 2, 24) / (4 * math.log(2))),
    }


def _volume(bars: _Bars) -> dict[str, Array]:
    # Windows, not TA-Lib's running sums: one candle of a hundred million would stay in their last digits.
    usual = mean(bars.volume, 20)
    traded = usual > 0
    return {
        "obv_z": _balance_score(np.sign(changes(bars.close)) * bars.volume),
        "volume_ratio": ratio(bars.volume, usual, traded, otherwise=1.0),
        "chaikin": ratio(_accumulation(bars), usual, traded, otherwise=0.0),
    }


def _money_flow(bars: _Bars) -> Array:
    """MFI as a share. TA-Lib's also counts a typical price that only rounding has moved."""
    change = changes(bars.typical)
    flow = bars.typical * bars.volume
    moved = np.abs(change) > ROUNDING * bars.typical
    rising = mean(np.where(moved & (change > 0), flow, 0.0), 14)
    falling = mean(np.where(moved & (change < 0), flow, 0.0), 14)
    return ratio(rising, rising + falling, rising + falling > 0, otherwise=0.5)


def _balance_score(signed: Array) -> Array:
    """z-score of on-balance volume among its last 50 values.

    Counted from zero in each window: one that runs since the first candle has few digits left for the newest.
    """

    def score(windows: Array) -> Array:
        balance = windows.cumsum(axis=1)
        deviation = balance.std(axis=1)
        distance = balance[:, -1] - balance.mean(axis=1)
        return ratio(distance, deviation, deviation > ROUNDING * np.abs(windows).max(axis=1), otherwise=0.0)

    return over_windows(signed, 50, score)


def _accumulation(bars: _Bars) -> Array:
    """Chaikin's EMA(3) - EMA(10) of the accumulation line, from the flows alone.

    The distance u from a line with steps x to its EMA follows u = (1 - a)(u + x), hence u = (1 - a)/a EMA(x):
    4.5 EMA(x, 10) less 1 EMA(x, 3). The line itself grows without end and would take the digits with it.
    """
    span = bars.high - bars.low
    place = ratio(2 * bars.close - bars.high - bars.low, span, span > 0, otherwise=0.0)
    flow = place * bars.volume
    return np.asarray(4.5 * talib.EMA(flow, 10) - talib.EMA(flow, 3))


def _log_return(close: Array) -> Array:
    return np.concatenate([[np.nan], np.diff(np.log(close))])
