"""Compiled: equity at each close, and the rules that watch it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trading.backtest.compiling import inlined
from trading.backtest.kernel_time import first_at
from trading.backtest.lanes import WIDE, put, worths

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Record = Any  # one element of a structured array, its fields read and written as attributes

UNKNOWN = np.uint64(1)
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
    keep = equity.size > 0
    cash, quantity = account.cash, account.quantity
    peak, trough = account.peak, account.trough
    alarm = alarm_level(account, terms)
    row = begin
    while row < end:
        beyond, lowest = UNKNOWN, 0.0
        if row + WIDE <= close.size:  # what is written beyond `end` is written again by whatever comes there
            many = end - row
            beyond, lowest = worths(close, row, many, cash, quantity, peak, alarm, equity, keep)
        if beyond == 0:
            trough = lowest if lowest < trough else trough
            row += WIDE
            continue
        for candle in range(row, min(row + WIDE, end)):
            value = cash + quantity * close[candle]
            if keep:
                equity[candle] = value
            trough = value if value < trough else trough
            if value > peak:
                account.drawdown = max(account.drawdown, 1.0 - trough / peak)
                peak = trough = value
                account.peak = peak
                alarm = alarm_level(account, terms)
            if value <= alarm:
                judge(value, candle, account, terms)
                alarm = alarm_level(account, terms)
        row += WIDE
    account.trough = trough
    account.equity = cash + quantity * close[end - 1]
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
        fill(equity, begin, end, value)


@inlined
def fill(equity: Numbers, begin: int, end: int, value: float) -> None:
    row = begin
    while row < end:
        if row + WIDE <= equity.size:  # beyond `end` as in `mark`
            put(equity, row, value)
        else:
            for late in range(row, end):
                equity[late] = value
        row += WIDE


@inlined
def new_day(candle: int, open_time: Integers, account: Record, daily: Numbers) -> int:
    """Returns the first candle of the next UTC day that has one."""
    if candle > 0:
        daily[account.days] = account.equity
        account.days += 1
    account.day_opening = account.equity
    account.day_closed = 0
    return first_at(open_time, (open_time[candle] // DAY + 1) * DAY, candle + 1)
