"""Momentum: how fast the price moves, and where it stands in its recent range."""

from functools import partial

from trading.indicators import kernels
from trading.indicators import lazy_talib as talib
from trading.indicators.arithmetic import ROUNDING, STILL_CANDLES, Array, log_return
from trading.indicators.feature import LEVEL, Family, Feature, after
from trading.indicators.price_arrays import Bars

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
        warm_up=after(14),
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
        source="Lambert 1980; each window summed afresh, unlike TA-Lib CCI",
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
        warm_up=after(43),
        formula="change of EMA(EMA(EMA(close, 15), 15), 15) since the candle before / its value then",
        source="Hutson 1983; TA-Lib TRIX",
    ),
)


def averages(bars: Bars) -> dict[str, Array]:
    """What remembers all of history, ever less of it."""
    return {
        "rsi_14": kernels.strength(bars.close, talib.RSI(bars.close, 14), STILL_CANDLES),
        "trix_15": talib.TRIX(bars.close, 15) / 100,
    }


def windows(bars: Bars) -> dict[str, Array]:
    """What depends on a bounded number of candles."""
    high, low, close, typical = bars.high, bars.low, bars.close, bars.typical
    percent = talib.WILLR(high, low, close, 14)
    williams_r = kernels.williams(percent, talib.MAX(high, 14), talib.MIN(low, 14), ROUNDING)
    stochastic_k = kernels.mean(williams_r + 1, 3)
    return {
        "log_return": log_return(close),
        "roc_10": talib.ROCP(close, 10),
        "stochastic_k": stochastic_k,
        "stochastic_d": kernels.mean(stochastic_k, 3),
        "cci_20": _channel_index(typical),
        "williams_r": williams_r,
        "mfi_14": _money_flow(typical, bars.volume),
    }


def _channel_index(typical: Array) -> Array:
    """CCI / 100. TA-Lib's runs its sum along: a price that left the window stays in the last digits."""
    middle = kernels.mean(typical, 20)
    distance = kernels.mean_distance(typical, middle, 20)
    return kernels.channel_index(
        typical, middle, distance, talib.MAX(typical, 20), talib.MIN(typical, 20), ROUNDING
    )


def _money_flow(typical: Array, volume: Array) -> Array:
    """MFI as a share. TA-Lib's also counts a typical price that only rounding has moved."""
    rising, moving = kernels.money_flows(typical, volume, ROUNDING)
    return kernels.quotient(kernels.mean(rising, 14), kernels.mean(moving, 14), 0.5)
