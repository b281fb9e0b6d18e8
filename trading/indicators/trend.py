"""Trend: how far the price stands from its averages, and how strongly it moves one way."""

from functools import partial

import numpy as np

from trading.indicators import kernels
from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import ROUNDING, STILL_CANDLES, Array
from trading.indicators.feature import LEVEL, SHARE, Family, Feature, GapRule, after
from trading.indicators.price_arrays import Bars, length_of

SAR_BLOCK = 100  # candle lengths

_trend = partial(Feature, family=Family.TREND)

FEATURES = (
    _trend(
        "ema_9_ratio", unit=SHARE, warm_up=after(8), formula="close / EMA(close, 9) - 1", source="TA-Lib EMA"
    ),
    _trend(
        "ema_21_ratio",
        unit=SHARE,
        warm_up=after(20),
        formula="close / EMA(close, 21) - 1",
        source="TA-Lib EMA",
    ),
    _trend(
        "ema_50_ratio",
        unit=SHARE,
        warm_up=after(49),
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
        warm_up=after(27),
        formula="RMA 14 of abs(+DI - -DI) / (+DI + -DI), which is 0 when still",
        source="Wilder 1978; TA-Lib RMA",
    ),
    _trend(
        "plus_di_14",
        unit=LEVEL,
        warm_up=after(14),
        formula="+DI(14) of Wilder / 100; 0 when still",
        source="Wilder 1978; TA-Lib RMA",
    ),
    _trend(
        "minus_di_14",
        unit=LEVEL,
        warm_up=after(14),
        formula="-DI(14) of Wilder / 100; 0 when still",
        source="Wilder 1978; TA-Lib RMA",
    ),
    _trend(
        "macd_line",
        unit=SHARE,
        warm_up=after(33),
        formula="MACD(12, 26, 9) line / close",
        source="TA-Lib MACD",
    ),
    _trend(
        "macd_signal",
        unit=SHARE,
        warm_up=after(33),
        formula="MACD(12, 26, 9) signal / close",
        source="TA-Lib MACD",
    ),
    _trend(
        "macd_histogram",
        unit=SHARE,
        warm_up=after(33),
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


def averages(bars: Bars) -> dict[str, Array]:
    """What remembers all of history, ever less of it."""
    close = bars.close
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    return {
        **{f"ema_{length}_ratio": kernels.excess(close, talib.EMA(close, length)) for length in (9, 21, 50)},
        "macd_line": line / close,
        "macd_signal": signal / close,
        "macd_histogram": histogram / close,
    }


def windows(bars: Bars) -> dict[str, Array]:
    """What depends on a bounded number of candles.

    TA-Lib's SMA and slope run sums along: a price that left the window stays in their last digits.
    """
    close = bars.close
    return {
        "sma_200_ratio": kernels.excess(close, kernels.mean(close, 200)),
        "aroon_25": talib.AROONOSC(bars.high, bars.low, 25) / 100,
        "sar_distance": 1 - _parabolic_sar(bars) / close,
        "slope_14": kernels.slope(close, 14) / close,
    }


def directional_movement(bars: Bars) -> dict[str, Array]:
    """Wilder's +DI, -DI and ADX.

    TA-Lib's ADX lets rounding decide when the high rises by as many ticks as the low falls, common on a coarse
    price grid, and keeps its last value while nothing moves.
    """
    true_range = talib.TRANGE(bars.high, bars.low, bars.close)
    up, down = kernels.directional_moves(bars.high, bars.low, bars.close, ROUNDING)
    plus, minus, index = kernels.directional_shares(
        true_range, talib.RMA(true_range, 14), talib.RMA(up, 14), talib.RMA(down, 14), STILL_CANDLES
    )
    index[:14] = np.nan
    return {"adx_14": talib.RMA(index, 14), "plus_di_14": plus, "minus_di_14": minus}


def _parabolic_sar(bars: Bars) -> Array:
    """A SAR remembers how the trends before it began, without bound; blocks bound that to 200 candles.

    TA-Lib's also lets rounding decide whether a price on a coarse grid has touched the SAR.
    """
    block = SAR_BLOCK * length_of(bars.timeframe)
    return kernels.parabolic_sar(bars.open_time, bars.high, bars.low, block, 0.02, 0.2, ROUNDING)
