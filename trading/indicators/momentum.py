"""Momentum: how fast the price moves, and where it stands in its recent range."""

from functools import partial

import numpy as np

from trading.compiled import compiled
from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import ROUNDING, STILL_CANDLES, Array, log_return, quotient
from trading.indicators.feature import LEVEL, Family, Feature, after, ema_decay, rma_decay, settled
from trading.indicators.price_arrays import PriceArrays
from trading.indicators.rolling import rolling_mean

_momentum = partial(Feature, family=Family.MOMENTUM)

FEATURES = (
    _momentum(
        "log_return", unit="log", warm_up=after(1), formula="ln(close / previous close)", source="definition"
    ),
    _momentum(
        "roc_10",
        unit="share",
        warm_up=after(10),
        formula="close / close 10 candles ago - 1",
        source="TA-Lib ROCP",
    ),
    _momentum(
        "rsi_14",
        unit=LEVEL,
        warm_up=settled(14, rma_decay(14)),
        formula="RSI(14) / 100; 0.5 when still",
        source="Wilder 1978; TA-Lib RSI",
    ),
    _momentum(
        "stochastic_k",
        unit=LEVEL,
        warm_up=after(15),
        formula="SMA 3 of where close stands in the range of 14; 0.5 when still",
        source="Lane 1984; 1 + TA-Lib WILLR, averaged per window",
    ),
    _momentum(
        "stochastic_d", unit=LEVEL, warm_up=after(17), formula="SMA(stochastic_k, 3)", source="Lane 1984"
    ),
    _momentum(
        "cci_20",
        unit="1 = CCI 100",
        warm_up=after(19),
        formula="CCI(20) of the typical price (h + l + c) / 3, / 100; 0 when still",
        source="Lambert 1980; TA-Lib AVGDEV, means of each window summed afresh, unlike TA-Lib CCI",
    ),
    _momentum(
        "williams_r",
        unit="-1..0",
        warm_up=after(13),
        formula="Williams %R(14) / 100; -0.5 when still",
        source="TA-Lib WILLR",
    ),
    _momentum(
        "mfi_14",
        unit=LEVEL,
        warm_up=after(14),
        formula="typical price x volume of the candles of 14 that rose, as a share of those that rose or fell; "
        "0.5 when none did",
        source="Quong and Soudack 1989",
    ),
    _momentum(
        "trix_15",
        unit="share",
        warm_up=settled(43, ema_decay(15)),
        formula="change of EMA(EMA(EMA(close, 15), 15), 15) since the candle before / its value then",
        source="Hutson 1983; TA-Lib TRIX",
    ),
)


def recursive_momentum(prices: PriceArrays) -> dict[str, Array]:
    """Return what remembers all of history, ever less of it."""
    return {
        "rsi_14": _relative_strength(prices.close, talib.RSI(prices.close, 14), STILL_CANDLES),
        "trix_15": talib.TRIX(prices.close, 15) / 100,
    }


def windowed_momentum(prices: PriceArrays) -> dict[str, Array]:
    """Return what depends on a bounded number of candles."""
    close, typical = prices.close, prices.typical
    williams_r = _williams_r(prices)
    stochastic_k = rolling_mean(williams_r + 1, 3)
    return {
        "log_return": log_return(close),
        "roc_10": talib.ROCP(close, 10),
        "stochastic_k": stochastic_k,
        "stochastic_d": rolling_mean(stochastic_k, 3),
        "cci_20": _commodity_channel_index(typical),
        "williams_r": williams_r,
        "mfi_14": _money_flow_index(typical, prices.volume),
    }


def _williams_r(prices: PriceArrays) -> Array:
    highest, lowest = talib.MAX(prices.high, 14), talib.MIN(prices.low, 14)
    percent = talib.WILLR(prices.high, prices.low, prices.close, 14)
    return np.where(highest - lowest <= ROUNDING * highest, -0.5, percent / 100)


def _commodity_channel_index(typical: Array) -> Array:
    """Return CCI / 100. TA-Lib's runs its sum along: a price that left the window stays in the last digits."""
    highest, lowest = talib.MAX(typical, 20), talib.MIN(typical, 20)
    moves = highest - lowest > ROUNDING * highest
    return quotient(typical - rolling_mean(typical, 20), 1.5 * talib.AVGDEV(typical, 20) * moves, 0.0)


def _money_flow_index(typical: Array, volume: Array) -> Array:
    """Return MFI as a share. TA-Lib's also counts a typical price that only rounding has moved."""
    rising, moving = _money_flows(typical, volume, ROUNDING)
    return quotient(rolling_mean(rising, 14), rolling_mean(moving, 14), 0.5)


@compiled
def _relative_strength(close: Array, percent: Array, length: int) -> Array:
    """Return RSI / 100; 0.5 where the last `length` changes were zero, or all since the start."""
    result = np.empty(close.size)
    still = length
    for row in range(close.size):
        moved = row > 0 and close[row] != close[row - 1]
        still = 0 if moved else still + 1
        result[row] = 0.5 if still >= length else percent[row] / 100
    return result


@compiled
def _money_flows(typical: Array, volume: Array, rounding: float) -> tuple[Array, Array]:
    """Return price x volume of candles whose typical price rose, and of those where it rose or fell; else 0."""
    rising, moving = np.zeros(typical.size), np.zeros(typical.size)
    for row in range(1, typical.size):
        flow, tick = typical[row] * volume[row], rounding * typical[row]
        change = typical[row] - typical[row - 1]
        rising[row] = flow if change > tick else 0.0
        moving[row] = flow if abs(change) > tick else 0.0
    return rising, moving
