"""Volume: how much is traded, and on which side of the price."""

from functools import partial

import numpy as np

from trading.compiled import compiled
from trading.indicators.arithmetic import ROUNDING, Array, Times, quotient
from trading.indicators.feature import RATIO, SHARE, Family, Feature, GapRule, after, ema_decay, settled
from trading.indicators.price_arrays import PriceArrays, candle_length
from trading.indicators.rolling import rolling_mean, rolling_sum_score
from trading.market import Timeframe

_volume = partial(Feature, family=Family.VOLUME)


def day_warm_up(timeframe: Timeframe) -> int:
    """Return the warm-up of a day: the window holds the day's first candle wherever in the day the history begins."""
    return candle_length(Timeframe.D1) // candle_length(timeframe) - 1


FEATURES = (
    _volume(
        "obv_z",
        unit="standard deviations",
        warm_up=after(49),
        formula="OBV less its mean of 50, / its deviation of 50; 0 where that is 0",
        source="Granville 1963, each window counted from zero",
    ),
    _volume(
        "volume_ratio",
        unit=RATIO,
        warm_up=after(19),
        formula="volume / its mean of 20; 1 where none traded",
        source="definition",
    ),
    _volume(
        "chaikin",
        unit="mean volumes",
        warm_up=settled(9, ema_decay(10)),
        formula="Chaikin A/D oscillator(3, 10) / mean volume of 20; "
        "0 where none traded, and a candle without range adds 0",
        source="Chaikin; TA-Lib ADOSC, from the flows",
    ),
    _volume(
        "vwap_distance",
        unit=SHARE,
        warm_up=day_warm_up,
        formula="close / volume-weighted average of the typical price since midnight UTC - 1; "
        "0 while none was traded",
        source="Berkowitz, Logue, Noser 1988",
        gaps=GapRule.UTC_DAY,
    ),
)


def recursive_volume(prices: PriceArrays) -> dict[str, Array]:
    """Return what remembers all of history, ever less of it."""
    return {"chaikin": quotient(_chaikin_oscillator(prices), rolling_mean(prices.volume, 20), 0.0)}


def windowed_volume(prices: PriceArrays) -> dict[str, Array]:
    """Return what depends on a bounded number of candles.

    TA-Lib's OBV and SMA run sums: one candle of a hundred million would stay in their last digits.
    """
    volume = prices.volume
    return {
        "obv_z": rolling_sum_score(_signed_volume(prices.close, volume), 50, ROUNDING),
        "volume_ratio": quotient(volume, rolling_mean(volume, 20), 1.0),
    }


def vwap_distance(prices: PriceArrays) -> dict[str, Array]:
    """Return the distance to the average price of the UTC day, which may hold more candles than any other window."""
    day = candle_length(Timeframe.D1)
    high, low, close, volume = prices.high, prices.low, prices.close, prices.volume
    return {"vwap_distance": _vwap_distance(prices.open_time, high, low, close, volume, day)}


def _chaikin_oscillator(prices: PriceArrays) -> Array:
    """Return Chaikin's EMA(3) - EMA(10) of the accumulation line, from the flows alone, as TA-Lib's ADOSC seeds them.

    The distance u from a line with steps x to its EMA follows u = decay (u + x) and is 0 in the first row, where
    both averages begin on the line. The line itself grows without end and would take the digits with it.
    """
    flow = _accumulation(prices.high, prices.low, prices.close, prices.volume)
    return _distance_of_averages(flow, ema_decay(3), ema_decay(10))


@compiled
def _distance_of_averages(steps: Array, fast_decay: float, slow_decay: float) -> Array:
    distance = np.zeros(steps.size)
    fast = slow = 0.0
    for row in range(1, steps.size):
        fast = fast_decay * (fast + steps[row])
        slow = slow_decay * (slow + steps[row])
        distance[row] = slow - fast
    return distance


@compiled
def _accumulation(high: Array, low: Array, close: Array, volume: Array) -> Array:
    """Return volume x where each candle closed in its range, -1 (low) to 1 (high); 0 without a range."""
    flow = np.empty(close.size)
    for row in range(close.size):
        span = high[row] - low[row]
        place = (2 * close[row] - high[row] - low[row]) / span
        flow[row] = place * volume[row] if span > 0 else 0.0
    return flow


@compiled
def _signed_volume(close: Array, volume: Array) -> Array:
    """Return what each candle adds to on-balance volume; 0 in the first row."""
    signed = np.zeros(close.size)
    for row in range(1, close.size):
        change = close[row] - close[row - 1]
        signed[row] = volume[row] * ((change > 0) - (change < 0))
    return signed


@compiled
def _vwap_distance(opens: Times, high: Array, low: Array, close: Array, volume: Array, period: int) -> Array:
    """Return close / volume-weighted average of (high + low + close) / 3 since the period began - 1.

    0 without volume. One call of TA-Lib's VWAP for each day takes four times as long.
    """
    result = np.empty(close.size)
    end, value, traded = opens[0] if opens.size else 0, 0.0, 0.0
    for row in range(close.size):
        if opens[row] >= end:
            end, value, traded = opens[row] - opens[row] % period + period, 0.0, 0.0
        value += (high[row] + low[row] + close[row]) / 3 * volume[row]
        traded += volume[row]
        result[row] = close[row] / (value / traded) - 1 if traded > 0 else 0.0
    return result
