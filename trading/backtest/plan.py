"""The inputs of a back-test beside candles: the targets of a strategy, and the rules of the account."""

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trading.backtest.bars import Bars
from trading.backtest.decisions import Decisions
from trading.backtest.records import LEAVE_LONG, LEAVE_SHORT
from trading.errors import InvalidValue
from trading.fills import Costs, cost_share, price_factor

__all__ = ["LEAVE_LONG", "LEAVE_SHORT", "AccountRules", "Bars", "Decisions", "Margin", "Plan"]

Array = npt.NDArray[np.float64]
DISTANCES = ("stop", "take_profit", "trailing")
Leaves = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The exposure a strategy wants after the close of each candle; it is executed at the next candle's open.

    `target` is the exposure: position value as a share of equity, below zero short; NaN decides nothing new.
    An order arises where a target differs from the last one that was carried out (at first 0), so a position
    that a stop has closed stays closed until another target comes. What a rule of the account refuses is not
    carried out: a target that stands for several candles is tried again, one that NaN follows is lost. Refused
    while flat, it still is that other target: the next one opens, whichever side it takes. All are counted.

    With `leaves` the plan is read as live decisions are made, candle by candle: `target` is what is entered while the
    account is flat (NaN or 0: nothing), whatever is held stays until `leaves` names its side, and nothing turns in
    one step. What was refused, and what a stop has ended, is entered by the next candle's target, if it has one.

    The three distances are shares of the entry price, (n,) or one number for all; NaN or infinity means none.
    They are read at the decision that opens or turns a position. Raises InvalidValue for an infinite target or a
    distance that is not above zero.
    """

    target: Array | Decisions  # (n,); an array with `leaves`
    stop: Array | float = np.nan
    take_profit: Array | float = np.nan
    trailing: Array | float = np.nan  # distance from the best price reached
    leaves: Leaves | None = None  # (n,) of LEAVE_LONG, LEAVE_SHORT, both together or 0

    def __post_init__(self) -> None:
        if self.leaves is not None:
            _check_leaves(self.leaves, self.target)
        if not isinstance(self.target, Decisions):
            _check_target(self.target)
        for name in DISTANCES:
            _check_distance(name, np.asarray(getattr(self, name)), self.candles)

    @property
    def candles(self) -> int:
        return self.target.candles if isinstance(self.target, Decisions) else self.target.size


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """What is held when a back-test begins, with its levels as prices; NaN where there is none.

    It was bought (above zero) or sold out of inventory (below zero) before the first candle: nothing is lent for it,
    and the candles of before count by `best_price` alone. Raises InvalidValue for numbers that cannot be.
    """

    quantity: float  # signed, base currency
    entry_price: float  # average, costs included
    stop: float = math.nan
    take_profit: float = math.nan
    trailing_after: float = math.nan  # once the price was there, the stop follows the best price ...
    trailing_distance: float = math.nan  # ... this far behind, in quote currency
    best_price: float = math.nan  # that was reached so far; NaN: the entry price

    def __post_init__(self) -> None:
        if not (math.isfinite(self.quantity) and self.quantity != 0):
            raise InvalidValue(f"quantity is {self.quantity}: an open position holds something")
        if not (math.isfinite(self.entry_price) and self.entry_price > 0):
            raise InvalidValue(f"entry_price is {self.entry_price}: allowed is a price above zero")
        for name in ("stop", "take_profit", "trailing_after", "trailing_distance", "best_price"):
            if not (math.isnan(value := getattr(self, name)) or value > 0):
                raise InvalidValue(f"{name} is {value}: allowed is a number above zero, NaN for none")


@dataclass(frozen=True, slots=True)
class Margin:
    """The charges of Kraken's spot margin, see trading.margin.arithmetic; fees are shares of the value lent."""

    opening_fee: float
    rollover_fee: float  # every `rollover_hours` that the position stays open
    rollover_hours: float
    liquidation_level: float  # equity / used margin at which the venue closes the position (0.4 = 40 %)

    def __post_init__(self) -> None:
        for name in ("opening_fee", "rollover_fee"):
            if not 0 <= getattr(self, name) < 0.1:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is a share from 0 to 0.1")
        if not 0.001 <= self.rollover_hours <= 8760:
            raise InvalidValue(f"rollover_hours is {self.rollover_hours}: allowed is 0.001 to 8760")
        if not 0 <= self.liquidation_level < 1:
            raise InvalidValue(f"liquidation_level is {self.liquidation_level}: allowed is 0 to below 1")


@dataclass(frozen=True, slots=True)
class AccountRules:
    """Rules of the account that hold whatever the strategy wants. They stop entries, never exits.

    Infinity or a streak of 0 switches a rule off. Without margin, `shorts` means inventory that the account
    holds beside this equity and sells: nothing is lent, charged or liquidated.
    """

    costs: Costs
    drawdown_pause: float  # share below the equity peak from which on nothing is opened until the end
    daily_loss: float  # share below the UTC day's opening equity: nothing is opened until the next day
    losing_streak: int  # losses in a row that cause a cool-down; 0: never
    cool_down: timedelta  # from the last of them, and no shorter than until ...
    # ... and the decisions of so many candles were refused, that of the loss being the first.
    cool_down_candles: int
    trailing_after: float  # gain, in amounts risked, from which on the trailing stop moves
    leverage: float  # largest exposure, long or short; 1 and no short: spot
    shorts: bool
    margin: Margin | None  # None: exposure beyond the account's own money is refused
    # Each from 00:00 UTC of its day on, the first one before it too; they rise by day and take the place of the one in
    # `costs`, which holds where there are none.
    taker_fees: tuple[tuple[date, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("drawdown_pause", "daily_loss"):
            if not getattr(self, name) >= 1e-9:
                raise InvalidValue(
                    f"{name} is {getattr(self, name)}: allowed is a share above 0, infinity: never"
                )
        if self.losing_streak < 0:
            raise InvalidValue(f"losing_streak is {self.losing_streak}: allowed is 0 (never) or more")
        if not timedelta(0) <= self.cool_down <= timedelta(days=3650):
            raise InvalidValue(f"cool_down is {self.cool_down}: allowed is 0 to 3650 days")
        if not 0 <= self.cool_down_candles <= 100_000:
            raise InvalidValue(f"cool_down_candles is {self.cool_down_candles}: allowed is 0 to 100000")
        if not (math.isfinite(self.trailing_after) and self.trailing_after >= 0):
            raise InvalidValue(f"trailing_after is {self.trailing_after}: allowed is 0 or more")
        if not all(one[0] < other[0] for one, other in pairwise(self.taker_fees)):
            raise InvalidValue(
                f"taker_fees are {self.taker_fees}: each must begin on a later day than the one before"
            )
        if not all(0 <= fee < 0.1 for _, fee in self.taker_fees):
            raise InvalidValue(f"taker_fees are {self.taker_fees}: allowed are shares from 0 to 0.1")
        if not 0 < self.leverage <= self._max_leverage():
            raise InvalidValue(
                f"leverage is {self.leverage}: allowed is above 0, up to {self._max_leverage():g} with these costs"
            )

    def at_costs(self, multiple: float) -> "AccountRules":
        """Return the same rules where trading and borrowing cost so many times as much."""
        margin = self.margin and replace(
            self.margin,
            opening_fee=multiple * self.margin.opening_fee,
            rollover_fee=multiple * self.margin.rollover_fee,
        )
        fees = tuple((day, multiple * fee) for day, fee in self.taker_fees)
        return replace(self, costs=self.costs.times(multiple), margin=margin, taker_fees=fees)

    def _max_leverage(self) -> float:
        """Return where a fill would cost half of the account; 20 is more than any spot venue lends."""
        costs = self.costs
        dearest = max((fee for _, fee in self.taker_fees), default=costs.taker_fee)
        lost = cost_share(1.0, price_factor(1.0, costs.half_spread, costs.slippage), dearest)
        lost += self.margin.opening_fee if self.margin else 0.0
        return min(20.0, 0.5 / lost) if lost else 20.0


def _check_target(target: Array) -> None:
    if target.ndim != 1:
        raise InvalidValue(f"target has shape {target.shape}: one exposure per candle is needed")
    if np.isinf(target).any():
        raise InvalidValue(
            f"target of candle {int(np.isinf(target).argmax())} is infinite: allowed are NaN and numbers"
        )


def _check_leaves(leaves: Leaves, target: Array | Decisions) -> None:
    if isinstance(target, Decisions) or leaves.shape != target.shape:
        raise InvalidValue(f"leaves have shape {leaves.shape}: one for each target of an array is needed")
    if ((leaves < 0) | (leaves > LEAVE_LONG + LEAVE_SHORT)).any():
        raise InvalidValue(f"leaves are {sorted(set(leaves.tolist()))}: allowed are 0 to 3")


def _check_distance(name: str, distance: Array, candles: int) -> None:
    if distance.shape not in ((), (candles,)):
        raise InvalidValue(
            f"{name} has shape {distance.shape}: one number, or one for each of {candles} candles"
        )
    impossible = np.atleast_1d(distance <= 0)
    if impossible.any():
        row = int(impossible.argmax())
        raise InvalidValue(
            f"{name} of candle {row} is {np.atleast_1d(distance)[row]}: allowed is a share above 0, NaN for none"
        )
