"""A feature as the registry describes it: name, family, unit, formula and its source, warm-up, rule for gaps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from trading.market import Timeframe


class Family(StrEnum):
    TREND = "trend"
    MOMENTUM = "momentum"
    VOLATILITY = "volatility"
    VOLUME = "volume"
    PATTERN = "pattern"
    MARKET = "market"
    REGIME = "regime"


class GapRule(Enum):
    """The treatment of candles that are missing and of candles in which nothing was traded."""

    EXISTING = (
        "runs over the candles that exist: a missing one is not filled, so ten candles back may be more than ten "
        "candle lengths ago; one without trades counts like any other"
    )
    UTC_DAY = (
        "runs over the candles that opened since midnight UTC and exist; one without trades adds no weight"
    )
    HIGHER_TIMEFRAME = (
        "a higher candle is closed once its end has passed by the clock and is made of the candles that exist in "
        "it; one without any is left out"
    )
    CLOCK_BLOCK = (
        "starts afresh at the beginning of the block of 100 candle lengths before this one, blocks counted "
        "since 1970 and those without candles left out; runs over the candles that exist"
    )
    AS_OF = (
        "each candle sees the newest candle of the other pair that had closed by then; where that is older than "
        "3 candle lengths the value is unknown"
    )
    SAME_ROW = "reads other features of the same row and nothing else"


WarmUp = Callable[[Timeframe], int]
# Far below what a signal can feel; 1e-9, as `lookback` has it, would cost a thousand candles.
SEED_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature table; all are free of the scale of prices and volumes.

    `formula` also says what stands where it would divide by zero: "still" means that the prices of the window
    are one price, or for ADX, DI and RSI, which remember all of history, that nothing has moved for 100 candles.
    """

    name: str
    family: Family
    unit: str
    warm_up: WarmUp
    formula: str
    source: str
    gaps: GapRule = GapRule.EXISTING
    needs_companions: bool = False  # unknown while candles of another pair are

    def warm_up_for(self, timeframe: Timeframe) -> int:
        """Return the number of leading rows that are null, however the first candle lies in its day."""
        return self.warm_up(timeframe)


def after(candles: int) -> WarmUp:
    """Return a warm-up of the same number of candles on every timeframe."""
    return lambda timeframe: candles


def settled(seeded: int, decay: float) -> WarmUp:
    """Return the warm-up of a recursion that begins after `seeded` candles and keeps `decay` of its value in each.

    It ends where less than SEED_WEIGHT of the seed is left: before, the value tells more of where history begins
    than of the market, and another start gives another number.
    """
    return after(seeded + math.ceil(math.log(SEED_WEIGHT) / math.log(decay)))


def ema_decay(period: int) -> float:
    """Return what an exponential average (EMA) keeps of its value from candle to candle."""
    return (period - 1) / (period + 1)


def rma_decay(period: int) -> float:
    """Return what Wilder's average (RMA) keeps of its value from candle to candle."""
    return (period - 1) / period


def longest(*warm_ups: WarmUp) -> WarmUp:
    """Return the longest of them on each timeframe."""
    return lambda timeframe: max(warm_up(timeframe) for warm_up in warm_ups)


SHARE = "share of price"
LEVEL = "0..1"
RATIO = "ratio"
