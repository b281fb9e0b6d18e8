"""Volatility: how much the price moves, how wide its channels are, and when they narrow and widen."""

import math
from functools import partial

import numpy as np

from trading.indicators import plain_talib as talib
from trading.indicators.arithmetic import ROUNDING, Array, log_return, ratio
from trading.indicators.bars import Bars
from trading.indicators.feature import LEVEL, RATIO, SHARE, Family, Feature, after

PERCENTILE_VALUES = 200
KELTNER_WIDTH = 1.5  # average true ranges on either side

_volatility = partial(Feature, family=Family.VOLATILITY)

FEATURES = (
    _volatility(
        "atr_14_share",
        unit=SHARE,
        warm_up=after(14),
        formula="ATR(14) / close",
        source="Wilder 1978; TA-Lib ATR",
    ),
    _volatility(
        "bollinger_width",
        unit=SHARE,
        warm_up=after(19),
        formula="(upper - lower) / middle of Bollinger(20, 2)",
        source="Bollinger 2001; each window summed afresh, unlike TA-Lib BBANDS",
    ),
    _volatility(
        "bollinger_percent_b",
        unit=LEVEL,
        warm_up=after(19),
        formula="(close - lower) / (upper - lower); 0.5 when still",
        source="Bollinger 2001; each window summed afresh, unlike TA-Lib BBANDS",
    ),
    _volatility(
        "keltner_position",
        unit="half channels",
        warm_up=after(20),
        formula="(close - EMA(close, 20)) / (1.5 ATR(20)); 0 where ATR(20) is 0",
        source="Keltner 1960 as revised by Raschke; TA-Lib EMA, ATR",
    ),
    _volatility(
        "squeeze_ratio",
        unit=RATIO,
        warm_up=after(20),
        formula="2 standard deviations(20) / (1.5 ATR(20)), below 1 when Bollinger lies inside Keltner; "
        "1 where ATR(20) is 0",
        source="Carter 2005; TA-Lib ATR",
    ),
    _volatility(
        "squeeze_lowest",
        unit=RATIO,
        warm_up=after(29),
        formula="lowest squeeze_ratio of 10 candles, this one included",
        source="TA-Lib MIN",
    ),
    Feature(
        "squeeze_release",
        Family.PATTERN,
        RATIO,
        after(29),
        "squeeze_ratio - squeeze_lowest once it is 1 or more and was below within 10 candles, negative where the "
        "close lies below the middle band; 0 otherwise",
        "Carter 2005",
    ),
    _volatility(
        "realised_volatility",
        unit="log per candle",
        warm_up=after(24),
        formula="root mean square of 24 log returns, mean not removed",
        source="Andersen, Bollerslev 1998",
    ),
    _volatility(
        "volatility_percentile",
        unit=LEVEL,
        warm_up=after(24 + PERCENTILE_VALUES - 1),
        formula="where realised_volatility stands among its last 200 values, 0 (lowest) to 1; equals count half, "
        "so 0.5 when still",
        source="mid-rank; TA-Lib PERCENTRANK counts equals as higher",
    ),
    _volatility(
        "parkinson",
        unit="log per candle",
        warm_up=after(23),
        formula="sqrt(mean of ln(high / low)^2 over 24 / (4 ln 2))",
        source="Parkinson 1980",
    ),
)


def averages(bars: Bars) -> dict[str, Array]:
    """What remembers all of history, ever less of it; `atr_20`, no feature itself, is what `bands` need."""
    high, low, close = bars.high, bars.low, bars.close
    average = talib.ATR(high, low, close, 20)
    channel = KELTNER_WIDTH * average
    return {
        "atr_14_share": talib.ATR(high, low, close, 14) / close,
        "keltner_position": ratio(
            close - talib.EMA(close, 20), channel, channel > ROUNDING * close, otherwise=0.0
        ),
        "atr_20": average,
    }


def windows(bars: Bars) -> dict[str, Array]:
    """What depends on a bounded number of candles."""
    from trading.indicators.compiled_windows import mean, rank  # compiled: only who computes waits for it

    realised = np.sqrt(mean(log_return(bars.close) ** 2, 24))
    return {
        "realised_volatility": realised,
        "volatility_percentile": rank(realised, PERCENTILE_VALUES, ROUNDING),
        "parkinson": np.sqrt(mean(np.log(bars.high / bars.low) ** 2, 24) / (4 * math.log(2))),
    }


def bands(bars: Bars, atr_20: Array) -> dict[str, Array]:
    """Bollinger's bands, and how they lie in Keltner's channel.

    TA-Lib's BBANDS runs a sum of squares: after half a million quiet candles its last digits are those of
    candles long gone.
    """
    from trading.indicators.compiled_windows import deviation, mean

    close = bars.close
    tick = ROUNDING * close
    middle = mean(close, 20)
    half_width = 2 * deviation(close, middle, 20)
    above, width, channel = close - middle, 2 * half_width, KELTNER_WIDTH * atr_20
    squeeze = ratio(half_width, channel, channel > tick, otherwise=1.0)
    squeeze[:20] = np.nan
    lowest = talib.MIN(squeeze, 10)
    released = (squeeze >= 1) & (lowest < 1) & (np.abs(above) > tick)
    return {
        "bollinger_width": width / middle,
        "bollinger_percent_b": 0.5 + ratio(above, width, width > tick, otherwise=0.0),
        "squeeze_ratio": squeeze,
        "squeeze_lowest": lowest,
        "squeeze_release": np.where(released, np.copysign(squeeze - lowest, above), 0.0),
    }
