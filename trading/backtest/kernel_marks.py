"""Compiled: equity at each close, and the rules that watch it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trading.backtest.compiling import inlined
from trading.backtest.kernel_time import first_at

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Record = Any  # one element of a structured array, its fields read and written as attributes

DAY = 86_400_000_000


@inlined
def limit_level(reference: float, share: float) -> float:
    return -np.inf if share == np.inf else reference * (1.0 - share)


@inlined
def alarm_level(account: Record, terms: Record) -> float:
    """Equity at or below which a rule that still watches has to look."""
    alarm = -np.inf
    if account.paused < 0:
        alarm = limit_level(account.peak, terms.drawdown_pause)
    if account.day_closed == 0:
        alarm = max(alarm, limit_level(account.day_opening, terms.daily_loss))
    return alarm


@inlined
def judge(value: float, candle: int, account: Record, terms: Record) -> None:
    if account.paused < 0 and value <= limit_level(account.peak, terms.drawdown_pause):
        account.paused = candle
    if value <= limit_level(account.day_opening, terms.daily_loss):
        account.day_closed = 1


@inlined
def mark(close: Numbers, begin: int, end: int, account: Record, terms: Record, equity: Numbers) -> None:
    """Equity at each close from `begin` to `end`, its peak, its worst drawdown and the rules that watch it."""
    closes, written = close[begin:end], equity[begin:end]
    keep = written.size > 0
    cash, quantity = account.cash, account.quantity
    peak, trough = account.peak, account.trough
    alarm = alarm_level(account, terms)
    value = account.equity
    for step in range(closes.size):
        value = cash + quantity * closes[step]
        if keep:
            written[step] = value
        trough = value if value < trough else trough
        if value > peak:
            account.drawdown = max(account.drawdown, 1.0 - trough / peak)
            peak = trough = value
            account.peak = peak
            alarm = alarm_level(account, terms)
        if value <= alarm:
            judge(value, begin + step, account, terms)
            alarm = alarm_level(account, terms)
    account.trough = trough
    account.equity = value
    account.candles_held += end - begin


@inlined
def rest(begin: int, end: int, account: Record, terms: Record, equity: Numbers) -> None:
    """The same for an account that holds nothing: its equity does not move, so one look is enough."""
    value = account.cash
    if value > account.peak:
        account.drawdown = max(account.drawdown, 1.0 - account.trough / account.peak)
        account.peak = account.trough = value
    elif value < account.trough:
        account.trough = value
    judge(value, begin, account, terms)
    account.equity = value
    if equity.size > 0:
        equity[begin:end] = value


@inlined
def new_day(candle: int, open_time: Integers, account: Record, daily: Numbers) -> int:
    """Returns the first candle of the next UTC day that has one."""
    if candle > 0:
        daily[account.days] = account.equity
        account.days += 1
    account.day_opening = account.equity
    account.day_closed = 0
    return first_at(open_time, (open_time[candle] // DAY + 1) * DAY, candle + 1)
