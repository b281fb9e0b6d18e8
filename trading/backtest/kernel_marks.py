"""Compiled: equity at each close, and the rules that watch it."""

import numpy as np

from trading.backtest.compiling import inline
from trading.backtest.records import Arrays, Numbers, Record

DAY = 86_400_000_000


@inline
def limit(reference: float, share: float) -> float:
    """Return the equity that lies `share` below `reference`; no equity does for an infinite share."""
    return -np.inf if share == np.inf else reference * (1.0 - share)


@inline
def alarm_level(account: Record, terms: Record) -> float:
    """Return the equity at or below which a rule that still watches has to look."""
    alarm = -np.inf
    if account.paused < 0:
        alarm = limit(account.peak, terms.drawdown_pause)
    if account.day_closed == 0:
        alarm = max(alarm, limit(account.day_opening, terms.daily_loss))
    return alarm


@inline
def judge(equity: float, candle: int, account: Record, terms: Record) -> None:
    """Start the drawdown pause, or close the day to entries, when the equity at a close has fallen that far."""
    if account.paused < 0 and equity <= limit(account.peak, terms.drawdown_pause):
        account.paused = candle
    if equity <= limit(account.day_opening, terms.daily_loss):
        account.day_closed = 1


@inline
def end_drawdown(account: Record) -> None:
    """Note how far equity fell since its peak."""
    account.drawdown = max(account.drawdown, 1.0 - account.trough / account.peak)


@inline
def mark_position(begin: int, end: int, arrays: Arrays) -> None:
    """Mark equity at each close from `begin` to `end`.

    Equity rises and falls with the close, so the highest and the lowest close show whether there is a new peak or
    a rule that has to look; mostly there is neither.
    """
    account, terms, close = arrays.account[0], arrays.terms[0], arrays.close[begin:end]
    cash, quantity = account.cash, account.quantity
    lowest, highest = extremes(close)
    worst = cash + quantity * (lowest if quantity > 0 else highest)
    best = cash + quantity * (highest if quantity > 0 else lowest)
    if best > account.peak or worst <= alarm_level(account, terms):
        watch(close, begin, account, terms)
    elif worst < account.trough:
        account.trough = worst
    account.equity = cash + quantity * close[close.size - 1]
    account.candles_held += close.size
    if arrays.equity.size > 0:
        equity = arrays.equity[begin:end]
        for step in range(close.size):
            equity[step] = cash + quantity * close[step]


@inline
def extremes(prices: Numbers) -> tuple[float, float]:
    lowest = highest = prices[0]
    for price in prices:
        lowest = price if price < lowest else lowest
        highest = price if price > highest else highest
    return lowest, highest


@inline
def watch(close: Numbers, begin: int, account: Record, terms: Record) -> None:
    """Follow equity from close to close: its peak, the fall since then, and the rules."""
    for step in range(close.size):
        value = account.cash + account.quantity * close[step]
        account.trough = min(account.trough, value)
        if value > account.peak:
            end_drawdown(account)
            account.peak = account.trough = value
        judge(value, begin + step, account, terms)


@inline
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


@inline
def begin_day(candle: int, arrays: Arrays) -> None:
    """Note the equity at which the day before ended, and find the first candle of the next UTC day."""
    account, open_time = arrays.account[0], arrays.open_time
    if candle > 0:
        end_day(arrays)
    account.day_opening = account.equity
    account.day_closed = 0
    account.next_day = np.searchsorted(open_time, (open_time[candle] // DAY + 1) * DAY)


@inline
def end_day(arrays: Arrays) -> None:
    account = arrays.account[0]
    arrays.daily_equity[account.days] = account.equity
    account.days += 1
