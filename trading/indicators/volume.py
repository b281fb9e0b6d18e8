"""Volume: how much is traded, and on which side of the price."""

from functools import partial

import numpy as np

from trading.indicators import kernels
from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import ROUNDING, Array
from trading.indicators.feature import RATIO, SHARE, Family, Feature, GapRule, after
from trading.indicators.price_arrays import Bars, length_of
from trading.market import Timeframe

_volume = partial(Feature, family=Family.VOLUME)


def whole_day(timeframe: Timeframe) -> int:
    """The window holds the day's first candle wherever in the day the history begins."""
    return length_of(Timeframe.D1) // length_of(timeframe) - 1


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
        warm_up=after(19),
        formula="Chaikin A/D oscillator(3, 10) / mean volume of 20; "
        "0 where none traded, and a candle without range adds 0",
        source="Chaikin; TA-Lib EMA of the flows",
    ),
    _volume(
        "vwap_distance",
        unit=SHARE,
        warm_up=whole_day,
        formula="close / volume-weighted average of the typical price since midnight UTC - 1; "
        "0 while none was traded",
        source="Berkowitz, Logue, Noser 1988",
        gaps=GapRule.UTC_DAY,
    ),
)


def averages(bars: Bars) -> dict[str, Array]:
    """What remembers all of history, ever less of it."""
    return {"chaikin": kernels.quotient(_accumulation(bars), _usual(bars.volume), 0.0)}


def windows(bars: Bars) -> dict[str, Array]:
    """What depends on a bounded number of candles."""
    return {
        "obv_z": kernels.balance_score(kernels.signed_volume(bars.close, bars.volume), 5, 10, ROUNDING),
        "volume_ratio": kernels.quotient(bars.volume, _usual(bars.volume), 1.0),
    }


def day(bars: Bars) -> dict[str, Array]:
    """The distance to the average price of the UTC day, which may hold more candles than any other window."""
    day_length = length_of(Timeframe.D1)
    distance = kernels.distance_of_period(
        bars.open_time, bars.high, bars.low, bars.close, bars.volume, day_length
    )
    return {"vwap_distance": distance}


def _usual(volume: Array) -> Array:
    """Windows, not TA-Lib's running sums: one candle of a hundred million would stay in their last digits."""
    return kernels.mean(volume, 20)


def _accumulation(bars: Bars) -> Array:
    """Chaikin's EMA(3) - EMA(10) of the accumulation line, from the flows alone.

    The distance u from a line with steps x to its EMA follows u = (1 - a)(u + x), hence u = (1 - a)/a EMA(x):
    4.5 EMA(x, 10) less 1 EMA(x, 3). The line itself grows without end and would take the digits with it.
    """
    flow = kernels.accumulation(bars.high, bars.low, bars.close, bars.volume)
    return np.asarray(4.5 * talib.EMA(flow, 10) - talib.EMA(flow, 3))
