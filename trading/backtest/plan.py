"""What a back-test is given: candles as arrays, what a strategy wants after each, and the account's rules."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.errors import InvalidValue
from trading.fills import Costs

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closed candles, each (n,), ascending. `open_time` is microseconds since 1970-01-01 UTC."""

    open_time: Times
    open: Array
    high: Array
    low: Array
    close: Array

    @classmethod
    def of(cls, candles: pl.DataFrame) -> "Bars":
        """From a table with CANDLE_SCHEMA. Raises InvalidCandles naming the first row that cannot be."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a strategy wants after the close of each candle; it is executed at the next candle's open.

    `target` is the exposure: position value as a share of equity, below zero short; NaN decides nothing new.
    An order arises where a target differs from the last one that was carried out, so a position that a stop
    has closed stays closed until the target changes. The three distances are shares of the entry price, (n,)
    or one number for all; NaN or infinity means none. They are read when a position opens or turns.
    """

    target: Array  # (n,)
    stop: Array | float = np.nan
    take_profit: Array | float = np.nan
    trailing: Array | float = np.nan  # distance from the best price reached

    def __post_init__(self) -> None:
        if self.target.ndim != 1:
            raise InvalidValue(f"target has shape {self.target.shape}: one exposure per candle is needed")


@dataclass(frozen=True, slots=True)
class Margin:
    """Borrowing as Kraken's spot margin charges it; shares of the position's value at entry.

    https://support.kraken.com/articles/206161568 (fees), .../203325763 (liquidation).
    """

    opening_fee: float
    rollover_fee: float  # every `rollover_hours` that the position stays open
    rollover_hours: float
    liquidation_level: float  # equity / used margin at which the venue closes the position (0.4 = 40 %)


@dataclass(frozen=True, slots=True)
class AccountRules:
    """Rules of the account that hold whatever the strategy wants. Infinity or 0 candles switches one off."""

    costs: Costs
    drawdown_pause: float  # share below the equity peak from which on nothing is opened until the end
    daily_loss: float  # share below the UTC day's opening equity: nothing is opened until the next day
    losing_streak: int  # losses in a row that cause a cool-down; 0: never
    cool_down: timedelta
    trailing_after: float  # gain, in amounts risked, from which on the trailing stop moves
    leverage: float  # largest exposure, long or short; 1 and no short: spot
    shorts: bool
    margin: Margin | None  # None: exposure beyond the account's own money is refused
