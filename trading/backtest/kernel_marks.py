"""Compiled: equity at each close, and the rules that watch it."""

import numpy as np

from trading.backtest.compiling import inlined
from trading.backtest.kernel_protection import NO_ROW, set_levels, touching_row
from trading.backtest.records import Arrays, Record

DAY = 86_400_000_000


@inlined
def limit(reference: float, share: float) -> float:
    """Return the equity that lies `share` below `reference`; no equity does for an infinite share."""
    return -np.inf if share == np.inf else reference * (1.0 - share)


@inlined
def alarm_level(account: Record, terms: Record) -> float:
    """Return the equity at or below which a rule that still watches has to look."""
    alarm = -np.inf
    if account.paused < 0:
        alarm = limit(account.peak, terms.drawdown_pause)
    if account.day_closed == 0:
        alarm = max(alarm, limit(account.day_opening, terms.daily_loss))
    return alarm


@inlined
def judge(equity: float, candle: int, account: Record, terms: Record) -> None:
    """Start the drawdown pause, or close the day to entries, when the equity at a close has fallen that far."""
    if account.paused < 0 and equity <= limit(account.peak, terms.drawdown_pause):
        account.paused = candle
    if equity <= limit(account.day_opening, terms.daily_loss):
        account.day_closed = 1


@inlined
def end_drawdown(account: Record) -> None:
    """Note how far equity fell since its peak."""
    account.drawdown = max(account.drawdown, 1.0 - account.trough / account.peak)


@inlined
def hold(begin: int, end: int, arrays: Arrays) -> tuple[int, int]:
    """Mark the position at each close from `begin` until a row touches one of its levels, at most to `end`.

    Returns the candle and the row of the touch, or `end` and NO_ROW.
    """
    account, terms, close, equity = arrays.account[0], arrays.terms[0], arrays.close, arrays.equity
    cash, quantity, value = account.cash, account.quantity, account.equity
    peak, trough, alarm = account.peak, account.trough, alarm_level(account, terms)
    set_levels(account, terms)
    candle, row = begin, NO_ROW
    while candle < end:
        row = touching_row(candle, arrays)
        if row != NO_ROW:
            break
        value = cash + quantity * close[candle]
        if equity.size > 0:
            equity[candle] = value
        trough = value if value < trough else trough
        if value > peak:
            account.trough = trough
            end_drawdown(account)
            peak = trough = account.peak = value
            alarm = alarm_level(account, terms)
        if value <= alarm:
            judge(value, candle, account, terms)
            alarm = alarm_level(account, terms)
        candle += 1
    account.trough = trough
    account.equity = value
    account.candles_held += candle - begin
    return candle, row


@inlined
def mark_cash(begin: int, end: int, arrays: Arrays) -> None:
    """Mark an account that holds nothing: its equity does not move, so one look is enough."""
    account = arrays.account[0]
    value = account.cash
    if value > account.peak:
        end_drawdown(account)
        account.peak = account.trough = value
    elif value < account.trough:
        account.trough = value
    judge(value, begin, account, arrays.terms[0])
    account.equity = value
    if arrays.equity.size > 0:
        arrays.equity[begin:end] = value


@inlined
def begin_day(candle: int, arrays: Arrays) -> None:
    """Note the equity at which the day before ended, and find the first candle of the next UTC day."""
    account, open_time = arrays.account[0], arrays.open_time
    if candle > 0:
        end_day(arrays)
    account.day_opening = account.equity
    account.day_closed = 0
    account.next_day = np.searchsorted(open_time, (open_time[candle] // DAY + 1) * DAY)


@inlined
def end_day(arrays: Arrays) -> None:
    account = arrays.account[0]
    arrays.daily_equity[account.days] = account.equity
    account.days += 1
