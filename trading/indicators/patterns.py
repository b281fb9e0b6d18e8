"""Patterns: swings that are confirmed, hence late, and the levels of support and resistance that they leave."""

from functools import partial

import numpy as np

from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import Array, Flags
from trading.indicators.feature import SHARE, Family, Feature, after
from trading.indicators.price_arrays import PriceArrays
from trading.indicators.swing_levels import swing_levels

WING = 5  # candles on either side that a swing stands out from; it is confirmed this many candles later
MEMORY = 200  # candles, those of both wings included

_pattern = partial(Feature, family=Family.PATTERN, unit=SHARE, warm_up=after(MEMORY - 1))
_SWING = (
    "which is at least as {far} as the 5 candles before it and {far}er than the 5 after it, all within 200 candles; "
    "the {far}est {far} of 200 where there is none"
)

FEATURES = (
    _pattern(
        "swing_high_distance",
        formula="newest confirmed swing high / close - 1, " + _SWING.format(far="high"),
        source="fractal of Williams 1995, 5 candles a side; TA-Lib MAX",
    ),
    _pattern(
        "swing_low_distance",
        formula="1 - newest confirmed swing low / close, " + _SWING.format(far="low"),
        source="fractal of Williams 1995, 5 candles a side; TA-Lib MIN",
    ),
    _pattern(
        "support_distance",
        formula="1 - highest confirmed swing, high or low, at or below the close / close, within 200 candles; "
        "the lowest low of 200 where there is none",
        source="Murphy 1999; TA-Lib MIN",
    ),
    _pattern(
        "resistance_distance",
        formula="lowest confirmed swing, high or low, at or above the close / close - 1, within 200 candles; "
        "the highest high of 200 where there is none",
        source="Murphy 1999; TA-Lib MAX",
    ),
)


def swing_distances(prices: PriceArrays) -> dict[str, Array]:
    """Return what depends on the last MEMORY candles."""
    high, low = prices.high, prices.low
    swing_high, swing_low, support, resistance = swing_levels(
        high,
        low,
        prices.close,
        _peaks(high),
        _peaks(-low),
        talib.MAX(high, MEMORY),
        talib.MIN(low, MEMORY),
        WING,
        MEMORY,
    )
    return {
        "swing_high_distance": swing_high,
        "swing_low_distance": swing_low,
        "support_distance": support,
        "resistance_distance": resistance,
    }


def _peaks(values: Array) -> Flags:
    """Return where a value is at least as high as the WING before it and higher than the WING after it.

    TA-Lib's FRACTAL leaves out those that equal one before them, common on a coarse price grid.
    """
    highest = talib.MAX(values, WING)
    peaks = np.zeros(values.size, np.bool_)
    middle = values[WING:-WING]
    peaks[WING:-WING] = (middle >= highest[WING - 1 : -WING - 1]) & (middle > highest[2 * WING :])
    return peaks
