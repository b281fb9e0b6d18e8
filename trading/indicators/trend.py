"""Trend: how far the price stands from its averages, and how strongly it moves one way."""

from functools import partial

import numpy as np

from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import ROUNDING, STILL_CANDLES, Array
from trading.indicators.directional_movement import directional_moves, directional_shares
from trading.indicators.feature import (
    LEVEL,
    SHARE,
    Family,
    Feature,
    GapRule,
    after,
    ema_decay,
    rma_decay,
    settled,
)
from trading.indicators.parabolic_sar import parabolic_sar
from trading.indicators.price_arrays import PriceArrays, candle_length
from trading.indicators.rolling import rolling_mean, rolling_slope

SAR_BLOCK = 100  # candle lengths

_trend = partial(Feature, family=Family.TREND)

FEATURES = (
    _trend(
        "ema_9_ratio",
        unit=SHARE,
        warm_up=settled(8, ema_decay(9)),
        formula="close / EMA(close, 9) - 1",
        source="TA-Lib EMA",
    ),
    _trend(
        "ema_21_ratio",
        unit=SHARE,
        warm_up=settled(20, ema_decay(21)),
        formula="close / EMA(close, 21) - 1",
        source="TA-Lib EMA",
    ),
    _trend(
        "ema_50_ratio",
        unit=SHARE,
        warm_up=settled(49, ema_decay(50)),
        formula="close / EMA(close, 50) - 1",
        source="TA-Lib EMA",
    ),
    _trend(
        "sma_200_ratio",
        unit=SHARE,
        warm_up=after(199),
        formula="close / SMA(close, 200) - 1",
        source="each window summed afresh, unlike TA-Lib SMA",
    ),
    _trend(
        "adx_14",
        unit=LEVEL,
        warm_up=settled(27, rma_decay(14)),
        formula="RMA 14 of abs(+DI - -DI) / (+DI + -DI), which is 0 when still",
        source="Wilder 1978; TA-Lib RMA",
    ),
    _trend(
        "plus_di_14",
        unit=LEVEL,
        warm_up=settled(14, rma_decay(14)),
        formula="+DI(14) of Wilder / 100; 0 when still",
        source="Wilder 1978; TA-Lib RMA",
    ),
    _trend(
        "minus_di_14",
        unit=LEVEL,
        warm_up=settled(14, rma_decay(14)),
        formula="-DI(14) of Wilder / 100; 0 when still",
        source="Wilder 1978; TA-Lib RMA",
    ),
    _trend(
        "macd_line",
        unit=SHARE,
        warm_up=settled(33, ema_decay(26)),
        formula="MACD(12, 26, 9) line / close",
        source="TA-Lib MACD",
    ),
    _trend(
        "macd_signal",
        unit=SHARE,
        warm_up=settled(33, ema_decay(26)),
        formula="MACD(12, 26, 9) signal / close",
        source="TA-Lib MACD",
    ),
    _trend(
        "macd_histogram",
        unit=SHARE,
        warm_up=settled(33, ema_decay(26)),
        formula="MACD(12, 26, 9) histogram / close",
        source="TA-Lib MACD",
    ),
    _trend(
        "aroon_25",
        unit="-1..1",
        warm_up=after(25),
        formula="Aroon up - Aroon down of 25 candles, / 100; the newest of equal extremes counts, so 0 when still",
        source="Chande 1995; TA-Lib AROONOSC",
    ),
    _trend(
        "sar_distance",
        unit=SHARE,
        warm_up=after(2 * SAR_BLOCK - 1),
        formula="1 - parabolic SAR(0.02, 0.2) / close, started afresh 100 to 200 candle lengths ago; 0 when still",
        source="Wilder 1978; the algorithm of TA-Lib SAR",
        gaps=GapRule.CLOCK_BLOCK,
    ),
    _trend(
        "slope_14",
        unit="share of price per candle",
        warm_up=after(13),
        formula="slope of the least-squares line through 14 closes / close",
        source="least squares; each window summed afresh, unlike TA-Lib LINEARREG_SLOPE",
    ),
)


def recursive_trend(prices: PriceArrays) -> dict[str, Array]:
    """Return what remembers all of history, ever less of it."""
    close = prices.close
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    return {
        **{f"ema_{length}_ratio": close / talib.EMA(close, length) - 1 for length in (9, 21, 50)},
        "macd_line": line / close,
        "macd_signal": signal / close,
        "macd_histogram": histogram / close,
    }


def windowed_trend(prices: PriceArrays) -> dict[str, Array]:
    """Return what depends on a bounded number of candles."""
    close = prices.close
    block = SAR_BLOCK * candle_length(prices.timeframe)
    sar = parabolic_sar(prices.open_time, prices.high, prices.low, block, 0.02, 0.2, ROUNDING)
    return {
        "sma_200_ratio": close / rolling_mean(close, 200) - 1,
        "aroon_25": talib.AROONOSC(prices.high, prices.low, 25) / 100,
        "sar_distance": 1 - sar / close,
        "slope_14": rolling_slope(close, 14) / close,
    }


def directional_movement(prices: PriceArrays) -> dict[str, Array]:
    """Return Wilder's +DI, -DI and ADX."""
    true_range = talib.TRANGE(prices.high, prices.low, prices.close)
    up, down = directional_moves(prices.high, prices.low, prices.close, ROUNDING)
    plus, minus, index = directional_shares(
        true_range, talib.RMA(true_range, 14), talib.RMA(up, 14), talib.RMA(down, 14), STILL_CANDLES
    )
    index[:14] = np.nan
    return {"adx_14": talib.RMA(index, 14), "plus_di_14": plus, "minus_di_14": minus}
