"""What every feature is: name, family, unit, warm-up and formula. `trading.indicators.table` computes them."""

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    TREND = "trend"
    MOMENTUM = "momentum"
    VOLATILITY = "volatility"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature table; all are free of the scale of prices and volumes.

    `warm_up` counts the leading rows that are null. `formula` also says what stands where it would divide by
    zero: "still" means that the prices of the window are one price, or for ADX, DI and RSI, which
    remember all of history, that nothing has moved for 100 candles.
    """

    name: str
    family: Family
    unit: str
    warm_up: int
    formula: str


_SHARE = "share of price"
_LEVEL = "0..1"
_RATIO = "ratio"

_TREND = (
    Feature("ema_9_ratio", Family.TREND, _SHARE, 8, "close / EMA(close, 9) - 1"),
    Feature("ema_21_ratio", Family.TREND, _SHARE, 20, "close / EMA(close, 21) - 1"),
    Feature("ema_50_ratio", Family.TREND, _SHARE, 49, "close / EMA(close, 50) - 1"),
    Feature("sma_200_ratio", Family.TREND, _SHARE, 199, "close / SMA(close, 200) - 1"),
    Feature(
        "adx_14", Family.TREND, _LEVEL, 27, "RMA 14 of abs(+DI - -DI) / (+DI + -DI), which is 0 when still"
    ),
    Feature("plus_di_14", Family.TREND, _LEVEL, 14, "+DI(14) of Wilder / 100; 0 when still"),
    Feature("minus_di_14", Family.TREND, _LEVEL, 14, "-DI(14) of Wilder / 100; 0 when still"),
    Feature("macd_line", Family.TREND, _SHARE, 33, "MACD(12, 26, 9) line / close"),
    Feature("macd_signal", Family.TREND, _SHARE, 33, "MACD(12, 26, 9) signal / close"),
    Feature("macd_histogram", Family.TREND, _SHARE, 33, "MACD(12, 26, 9) histogram / close"),
)

_MOMENTUM = (
    Feature("log_return", Family.MOMENTUM, "log", 1, "ln(close / previous close)"),
    Feature("roc_10", Family.MOMENTUM, "share", 10, "close / close 10 candles ago - 1"),
    Feature("rsi_14", Family.MOMENTUM, _LEVEL, 14, "RSI(14) / 100; 0.5 when still"),
    Feature(
        "stochastic_k",
        Family.MOMENTUM,
        _LEVEL,
        15,
        "SMA 3 of where close stands in the range of 14; 0.5 when still",
    ),
    Feature("stochastic_d", Family.MOMENTUM, _LEVEL, 17, "SMA(stochastic_k, 3)"),
    Feature(
        "cci_20",
        Family.MOMENTUM,
        "1 = CCI 100",
        19,
        "CCI(20) of the typical price (h + l + c) / 3, / 100; 0 when still",
    ),
    Feature("williams_r", Family.MOMENTUM, "-1..0", 13, "Williams %R(14) / 100; -0.5 when still"),
    Feature(
        "mfi_14",
        Family.MOMENTUM,
        _LEVEL,
        14,
        "typical price x volume of the candles of 14 that rose, as a share of those that rose or fell; "
        "0.5 when none did",
    ),
)

_VOLATILITY = (
    Feature("atr_14_share", Family.VOLATILITY, _SHARE, 14, "ATR(14) / close"),
    Feature("bollinger_width", Family.VOLATILITY, _SHARE, 19, "(upper - lower) / middle of Bollinger(20, 2)"),
    Feature(
        "bollinger_percent_b",
        Family.VOLATILITY,
        _LEVEL,
        19,
        "(close - lower) / (upper - lower); 0.5 when still",
    ),
    Feature(
        "keltner_position",
        Family.VOLATILITY,
        "half channels",
        20,
        "(close - EMA(close, 20)) / (1.5 ATR(20)); 0 where ATR(20) is 0",
    ),
    Feature(
        "squeeze_ratio",
        Family.VOLATILITY,
        _RATIO,
        20,
        "2 standard deviations(20) / (1.5 ATR(20)), below 1 when Bollinger lies inside Keltner; "
        "1 where ATR(20) is 0",
    ),
    Feature(
        "squeeze_lowest",
        Family.VOLATILITY,
        _RATIO,
        29,
        "lowest squeeze_ratio of 10 candles, this one included",
    ),
    Feature(
        "realised_volatility",
        Family.VOLATILITY,
        "log per candle",
        24,
        "root mean square of 24 log returns, mean not removed",
    ),
    Feature(
        "parkinson",
        Family.VOLATILITY,
        "log per candle",
        23,
        "sqrt(mean of ln(high / low)^2 over 24 / (4 ln 2)) (Parkinson 1980)",
    ),
)

_VOLUME = (
    Feature(
        "obv_z",
        Family.VOLUME,
        "standard deviations",
        49,
        "OBV less its mean of 50, / its deviation of 50; 0 where that is 0",
    ),
    Feature("volume_ratio", Family.VOLUME, _RATIO, 19, "volume / its mean of 20; 1 where none traded"),
    Feature(
        "chaikin",
        Family.VOLUME,
        "mean volumes",
        19,
        "Chaikin A/D oscillator(3, 10) / mean volume of 20; "
        "0 where none traded, and a candle without range adds 0",
    ),
)

FEATURES: tuple[Feature, ...] = _TREND + _MOMENTUM + _VOLATILITY + _VOLUME
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
