"""Volatility: how much the price moves, how wide its channels are, and when they narrow and widen."""

import math
from functools import partial

import numpy as np

from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import ROUNDING, Array, log_return
from trading.indicators.channels import bollinger, keltner_position, squeeze_release
from trading.indicators.feature import LEVEL, RATIO, SHARE, Family, Feature, after, rma_decay, settled
from trading.indicators.percentile_rank import percentile_rank
from trading.indicators.price_arrays import PriceArrays
from trading.indicators.rolling import rolling_deviation, rolling_mean

PERCENTILE_VALUES = 200
KELTNER_WIDTH = 1.5  # average true ranges on either side

_volatility = partial(Feature, family=Family.VOLATILITY)

FEATURES = (
    _volatility(
        "atr_14_share",
        unit=SHARE,
        warm_up=settled(14, rma_decay(14)),
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
        warm_up=settled(20, rma_decay(20)),
        formula="(close - EMA(close, 20)) / (1.5 ATR(20)); 0 where ATR(20) is 0",
        source="Keltner 1960 as revised by Raschke; TA-Lib EMA, ATR",
    ),
    _volatility(
        "squeeze_ratio",
        unit=RATIO,
        warm_up=settled(20, rma_decay(20)),
        formula="2 standard deviations(20) / (1.5 ATR(20)), below 1 when Bollinger lies inside Keltner; "
        "1 where ATR(20) is 0",
        source="Carter 2005; TA-Lib ATR",
    ),
    _volatility(
        "squeeze_lowest",
        unit=RATIO,
        warm_up=settled(29, rma_decay(20)),
        formula="lowest squeeze_ratio of 10 candles, this one included",
        source="TA-Lib MIN",
    ),
    Feature(
        "squeeze_release",
        Family.PATTERN,
        RATIO,
        settled(29, rma_decay(20)),
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


def recursive_volatility(prices: PriceArrays) -> dict[str, Array]:
    """Return what remembers all of history, ever less of it.

    `keltner_channel`, no feature itself, is half the width that `bollinger_bands` compares with.
    """
    high, low, close = prices.high, prices.low, prices.close
    channel = KELTNER_WIDTH * talib.ATR(high, low, close, 20)
    return {
        "atr_14_share": talib.ATR(high, low, close, 14) / close,
        "keltner_position": keltner_position(close, talib.EMA(close, 20), channel, ROUNDING),
        "keltner_channel": channel,
    }


def windowed_volatility(prices: PriceArrays) -> dict[str, Array]:
    """Return what depends on a bounded number of candles."""
    realised = np.sqrt(rolling_mean(log_return(prices.close) ** 2, 24))
    return {
        "realised_volatility": realised,
        "volatility_percentile": percentile_rank(realised, PERCENTILE_VALUES, ROUNDING),
        "parkinson": np.sqrt(rolling_mean(np.log(prices.high / prices.low) ** 2, 24) / (4 * math.log(2))),
    }


def bollinger_bands(prices: PriceArrays, keltner_channel: Array) -> dict[str, Array]:
    """Return Bollinger's bands, and how they lie in Keltner's channel, of which half the width is given.

    The last digits of TA-Lib's BBANDS and STDDEV depend on where in history they start.
    """
    close = prices.close
    middle = rolling_mean(close, 20)
    deviation = rolling_deviation(close, middle, 20)
    width, place, squeeze = bollinger(close, middle, deviation, keltner_channel, ROUNDING)
    squeeze[:20] = np.nan
    lowest = talib.MIN(squeeze, 10)
    return {
        "bollinger_width": width,
        "bollinger_percent_b": place,
        "squeeze_ratio": squeeze,
        "squeeze_lowest": lowest,
        "squeeze_release": squeeze_release(squeeze, lowest, close, middle, ROUNDING),
    }
