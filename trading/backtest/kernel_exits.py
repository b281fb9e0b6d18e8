"""Compiled: levels that protect a position, and the first row that touches one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trading.backtest.compiling import inlined
from trading.backtest.kernel_borrowing import liquidation_at
from trading.backtest.lanes import WIDE, first_bit, touching
from trading.backtest.records import Reason

Numbers = npt.NDArray[np.float64]
Record = Any  # one element of a structured array, its fields read and written as attributes

STOP = int(Reason.STOP)
TAKE_PROFIT = int(Reason.TAKE_PROFIT)
TRAILING = int(Reason.TRAILING)
LIQUIDATION = int(Reason.LIQUIDATION)


@inlined
def move_trail(account: Record) -> None:
    """The trailing level for the best price so far; it starts after a gain and never moves back."""
    direction = 1.0 if account.quantity > 0 else -1.0
    if direction * (account.best - account.trail_from) >= 0.0:
        account.trail = account.best - direction * account.trail_distance


@inlined
def levels(account: Record, terms: Record) -> tuple[float, float]:
    """Prices at or below, and at or above, which the position ends."""
    if account.quantity > 0:
        return max(account.stop, account.trail, liquidation_at(account, terms)), account.take_profit
    return account.take_profit, min(account.stop, account.trail, liquidation_at(account, terms))


@inlined
def first_beyond(
    row_high: Numbers, row_low: Numbers, begin: int, end: int, floor: float, ceiling: float
) -> int:
    """First row that reaches levels which do not move, `end` when none does."""
    row = begin
    while row < end:
        if row + WIDE <= row_low.size:
            reached = touching(row_low, row_high, row, floor, ceiling)
            if reached:
                touch: int = min(row + first_bit(reached), end)
                return touch
        else:
            for late in range(row, end):
                if row_low[late] <= floor or row_high[late] >= ceiling:
                    return late
        row += WIDE
    return end


@inlined
def first_touch(
    row_high: Numbers, row_low: Numbers, begin: int, end: int, account: Record, terms: Record
) -> int:
    """First row in which a level lies, `end` when none does; the trailing level follows the rows before it."""
    floor, ceiling = levels(account, terms)
    if account.trail_distance == np.inf:
        return first_beyond(row_high, row_low, begin, end, floor, ceiling)
    highs, lows = row_high[begin:end], row_low[begin:end]
    long = account.quantity > 0
    best = account.best
    for step in range(highs.size):
        if lows[step] <= floor or highs[step] >= ceiling:
            return begin + step
        if (highs[step] > best) if long else (lows[step] < best):
            best = account.best = highs[step] if long else lows[step]
            move_trail(account)
            floor, ceiling = levels(account, terms)
    return end


@inlined
def touched(
    opened: float, high: float, low: float, account: Record, terms: Record
) -> tuple[float, int, bool]:
    """Price and reason of the exit inside a row that touches a level, and whether it was at the row's open.

    The open is known to come first. After it the order is not known: the protective level is taken.
    """
    floor, ceiling = levels(account, terms)
    long = account.quantity > 0
    if opened <= floor:
        price, below = opened, True
    elif opened >= ceiling:
        price, below = opened, False
    elif long:
        below = low <= floor
        price = floor if below else ceiling
    else:
        below = high < ceiling
        price = floor if below else ceiling
    if below != long:
        return price, TAKE_PROFIT, price == opened
    liquidation = liquidation_at(account, terms)
    if (liquidation >= floor) if long else (liquidation <= ceiling):
        reason = LIQUIDATION
    elif account.trail > account.stop if long else account.trail < account.stop:
        reason = TRAILING
    else:
        reason = STOP
    return price, reason, price == opened
