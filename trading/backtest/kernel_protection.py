"""Compiled: the levels that protect a position, and the first row that touches one."""

import numpy as np

from trading.backtest.compiling import inline
from trading.backtest.records import Arrays, Numbers, Reason, Record
from trading.margin import arithmetic as margin_arithmetic

liquidation_price = inline(margin_arithmetic.liquidation_price)

STOP = int(Reason.STOP)
TAKE_PROFIT = int(Reason.TAKE_PROFIT)
TRAILING = int(Reason.TRAILING)
LIQUIDATION = int(Reason.LIQUIDATION)


@inline
def distance_of(distances: Numbers, candle: int) -> float:
    """Return the distance decided at the close of `candle`, infinity for none."""
    distance: float = distances[candle if distances.size > 1 else 0]
    return np.inf if np.isnan(distance) else distance


@inline
def protect(price: float, candle: int, arrays: Arrays) -> None:
    """Set the levels of a new position, from the price that was paid and the distances decided at `candle`."""
    account, terms = arrays.account[0], arrays.terms[0]
    direction = 1.0 if account.quantity > 0 else -1.0
    stop, trailing = distance_of(arrays.stop, candle), distance_of(arrays.trailing, candle)
    account.stop = price * (1.0 - direction * stop)
    account.take_profit = price * (1.0 + direction * distance_of(arrays.take_profit, candle))
    account.trailing_distance = price * trailing
    risked = stop if stop < np.inf else trailing
    account.trailing_start = price * (1.0 + direction * (terms.trailing_after * risked))
    account.trailing_stop = -direction * np.inf
    account.best_price = price
    if trailing < np.inf:
        move_trailing_stop(account)


@inline
def move_trailing_stop(account: Record) -> None:
    """Set the trailing stop for the best price so far; it starts after a gain and never moves back."""
    direction = 1.0 if account.quantity > 0 else -1.0
    if direction * (account.best_price - account.trailing_start) >= 0.0:
        account.trailing_stop = account.best_price - direction * account.trailing_distance


@inline
def liquidation_level(account: Record, terms: Record) -> float:
    """Return the price at which the venue closes the position, beyond every price where nothing is lent."""
    if account.lent == 0.0:
        return -np.inf if account.quantity > 0 else np.inf
    lent = account.lent / account.quantity if account.quantity > 0 else 0.0  # per unit; a short owes no quote
    price: float = liquidation_price(
        account.cash, account.quantity, lent, terms.leverage, terms.liquidation_level
    )
    return price


@inline
def set_levels(account: Record, terms: Record) -> None:
    """Set the prices at or below (`floor`), and at or above (`ceiling`), which the position ends."""
    liquidation = liquidation_level(account, terms)
    if account.quantity > 0:
        account.floor = max(account.stop, account.trailing_stop, liquidation)
        account.ceiling = account.take_profit
    else:
        account.floor = account.take_profit
        account.ceiling = min(account.stop, account.trailing_stop, liquidation)


@inline
def first_touch(begin: int, end: int, arrays: Arrays) -> int:
    """Return the first row that touches a level, `end` when none does; a trailing stop follows the rows before."""
    account, terms = arrays.account[0], arrays.terms[0]
    high, low = arrays.row_high[begin:end], arrays.row_low[begin:end]
    set_levels(account, terms)
    if account.trailing_distance == np.inf:
        return begin + first_beyond(high, low, account.floor, account.ceiling)
    long = account.quantity > 0
    for step in range(high.size):
        if low[step] <= account.floor or high[step] >= account.ceiling:
            return begin + step
        if (high[step] > account.best_price) if long else (low[step] < account.best_price):
            account.best_price = high[step] if long else low[step]
            move_trailing_stop(account)
            set_levels(account, terms)
    return end


@inline
def first_beyond(high: Numbers, low: Numbers, floor: float, ceiling: float) -> int:
    """Return the first row that reaches a level which does not move; prices for which there is none are not read."""
    rows = low.size
    if floor > -np.inf:
        for row in range(low.size):
            if low[row] <= floor:
                rows = row
                break
    if ceiling < np.inf:
        for row in range(rows):
            if high[row] >= ceiling:
                return row
    return rows


@inline
def exit_inside(row: int, arrays: Arrays) -> tuple[float, int, bool]:
    """Return price and reason of the exit inside a row that touches a level, and whether it was at the row's open.

    The open is known to come first. After it the order is not known: the protective level is taken.
    """
    account = arrays.account[0]
    opened, floor, ceiling = arrays.row_open[row], account.floor, account.ceiling
    long = account.quantity > 0
    if opened <= floor:
        price, below = opened, True
    elif opened >= ceiling:
        price, below = opened, False
    elif long:
        below = arrays.row_low[row] <= floor
        price = floor if below else ceiling
    else:
        below = arrays.row_high[row] < ceiling
        price = floor if below else ceiling
    reason = protective_reason(account, arrays.terms[0]) if below == long else TAKE_PROFIT
    return price, reason, price == opened


@inline
def protective_reason(account: Record, terms: Record) -> int:
    """Return which of liquidation, stop and trailing stop is the nearest to the price."""
    long = account.quantity > 0
    liquidation = liquidation_level(account, terms)
    if (liquidation >= account.floor) if long else (liquidation <= account.ceiling):
        return LIQUIDATION
    if account.trailing_stop > account.stop if long else account.trailing_stop < account.stop:
        return TRAILING
    return STOP
