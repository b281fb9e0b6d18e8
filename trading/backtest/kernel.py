"""The compiled walk through candles. Leaf module: importing it imports Numba, so `engine` does it late.

Nothing here decides: the rules are stated in `trading.backtest`, and tests hold every number of this walk
against an obvious one in plain Python, to the bit. The walk goes from event to event. Between two of them
(a decision to execute, a new UTC day, a rollover) nothing but protection can trade, so one loop looks for the
first row that touches a level and another marks the equity; while the account is flat, neither reads a price.

No fast-math: every number is the same on every machine and however many threads share the work.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from trading import fills as fill_arithmetic
from trading.backtest import (
    compiling,
    kernel_borrowing,
    kernel_exits,
    kernel_marks,
    kernel_orders,
    kernel_time,
    kernel_trades,
    lanes,
    records,
)
from trading.backtest.compiling import cached_by, fingerprint, inlined
from trading.backtest.kernel_borrowing import charge_rollovers, next_rollover
from trading.backtest.kernel_exits import first_touch, touched
from trading.backtest.kernel_marks import mark, new_day, rest
from trading.backtest.kernel_orders import carry_out
from trading.backtest.kernel_trades import average_price, close_out, record_trade
from trading.backtest.lanes import WIDE, borrowed, soon
from trading.backtest.records import Reason, Records
from trading.margin import arithmetic as margin_arithmetic

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Record = Any  # one element of a structured array, its fields read and written as attributes

END = int(Reason.END)
EXECUTED, HELD = 6, 2  # decisions ahead, and
LINES = 4  # of WIDE candles, a cache line each: measured


@inlined
def _look_ahead(
    decision: int,
    open_time: Integers,
    opened: Numbers,
    close: Numbers,
    row_high: Numbers,
    row_low: Numbers,
    first: Integers,
    decided: Integers,
) -> None:
    """Ask for what the next decisions will read: places that far apart memory does not guess, and a walk waits."""
    if decision + EXECUTED < decided.size:
        candle = decided[decision + EXECUTED] + 1
        soon(open_time, candle)
        soon(opened, candle)
    if first.size == 0 and decision + HELD < decided.size:
        for line in range(LINES):
            candle = decided[decision + HELD] + WIDE * line
            soon(close, candle)
            soon(row_high, candle)
            soon(row_low, candle)


@inlined
def _finish(open_time: Integers, close: Numbers, account: Record, trades: Records, daily: Numbers) -> None:
    """A position that is still open is marked at the last close, as if it were sold there for nothing."""
    daily[account.days] = account.equity
    account.days += 1
    account.drawdown = max(account.drawdown, 1.0 - account.trough / account.peak)
    if account.quantity != 0.0:
        direction = 1.0 if account.quantity > 0 else -1.0
        held = abs(account.quantity)
        account.exit_price = average_price(account.exit_price, account.left, close[close.size - 1], held)
        account.left += held
        record_trade(direction, END, open_time[open_time.size - 1], account, trades)


@inlined
def _walk(
    open_time: Integers,
    opened: Numbers,
    close: Numbers,
    row_time: Integers,
    row_open: Numbers,
    row_high: Numbers,
    row_low: Numbers,
    first: Integers,
    decided: Integers,
    until: Integers,
    wanted: Numbers,
    stop: Numbers,
    take_profit: Numbers,
    trailing: Numbers,
    terms: Record,
    account: Record,
    fills: Records,
    trades: Records,
    equity: Numbers,
    daily: Numbers,
) -> None:
    size = opened.size
    decision = 0
    next_day = 0
    next_order = decided[0] + 1 if decided.size > 0 else size
    next_roll = size
    candle = 0
    while candle < size:
        if candle == next_day:
            next_day = new_day(candle, open_time, account, daily)
        if candle == next_roll:
            charge_rollovers(open_time[candle], account, terms)
            next_roll = next_rollover(open_time, candle, account, terms)
        if candle == next_order:
            target = wanted[decision]
            _look_ahead(decision, open_time, opened, close, row_high, row_low, first, decided)
            row = candle - 1
            stands = target == account.carried or (terms.by_side and target * account.quantity > 0)
            done = stands or carry_out(
                target, opened[candle], open_time[candle], candle,
                stop[row if stop.size > 1 else 0],
                take_profit[row if take_profit.size > 1 else 0],
                trailing[row if trailing.size > 1 else 0],
                account, terms, fills, trades,
            )  # fmt: skip
            if done or until[decision] < candle:
                decision += 1
            next_order = max(decided[decision] + 1, candle + 1) if decision < decided.size else size
            next_roll = next_rollover(open_time, candle, account, terms) if account.quantity != 0.0 else size
        end = min(min(next_day, next_order), min(next_roll, size))
        if account.quantity != 0.0:
            begin_row = first[candle] if first.size > 0 else candle
            end_row = first[end] if first.size > 0 else end
            row = first_touch(row_high, row_low, begin_row, end_row, account, terms)
            stopped = end
            if row < end_row:
                stopped = np.searchsorted(first, row, side="right") - 1 if first.size > 0 else row
            if stopped > candle:
                mark(close, candle, stopped, account, terms, equity)
            if row < end_row:
                price, reason, at_open = touched(row_open[row], row_high[row], row_low[row], account, terms)
                alone = first.size == 0 or first[stopped + 1] - first[stopped] == 1
                length = terms.candle_length if alone else terms.row_length
                known = row_time[row] if at_open else row_time[row] + length
                close_out(price, reason, row_time[row], known, stopped, account, terms, fills, trades)
                next_roll = size
                if terms.by_side:
                    account.carried = 0.0
                    if decision > 0 and until[decision - 1] >= stopped:  # the same wish stands: open again
                        decision -= 1
                        next_order = max(decided[decision] + 1, stopped + 1)
                        end = min(end, next_order)
                rest(stopped, end, account, terms, equity)
        else:
            rest(candle, end, account, terms, equity)
        candle = end
    _finish(open_time, close, account, trades, daily)


def _signature() -> Any:
    integers = types.Array(types.int64, 1, "C", readonly=True)
    numbers = types.Array(types.float64, 1, "C", readonly=True)
    terms, account, fills, trades = (
        from_dtype(kind)[::1] for kind in (records.TERMS, records.ACCOUNT, records.FILL, records.TRADE)
    )
    written = types.float64[::1]
    return types.void(
        integers, numbers, numbers, integers, numbers, numbers, numbers, integers,
        integers, integers, numbers, numbers, numbers, numbers, terms, account, fills, trades, written, written,
    )  # fmt: skip


def _entry(sources: int) -> Callable[..., Any]:
    def walk(
        open_time: Integers,
        opened: Numbers,
        close: Numbers,
        row_time: Integers,
        row_open: Numbers,
        row_high: Numbers,
        row_low: Numbers,
        first: Integers,
        decided: Integers,
        until: Integers,
        wanted: Numbers,
        stop: Numbers,
        take_profit: Numbers,
        trailing: Numbers,
        terms: Records,
        account: Records,
        fills: Records,
        trades: Records,
        equity: Numbers,
        daily: Numbers,
    ) -> None:
        sources  # noqa: B018  part of the cache's key, see trading.backtest.compiling
        _walk(
            borrowed(open_time), borrowed(opened), borrowed(close),
            borrowed(row_time), borrowed(row_open), borrowed(row_high), borrowed(row_low), borrowed(first),
            borrowed(decided), borrowed(until), borrowed(wanted),
            borrowed(stop), borrowed(take_profit), borrowed(trailing),
            terms[0], account[0], borrowed(fills), borrowed(trades), borrowed(equity), borrowed(daily),
        )  # fmt: skip

    return walk


SOURCES = (
    fill_arithmetic,
    margin_arithmetic,
    compiling,
    records,
    kernel_borrowing,
    kernel_exits,
    kernel_marks,
    kernel_orders,
    kernel_time,
    kernel_trades,
    lanes,
    sys.modules[__name__],
)
walk = cached_by(_entry(fingerprint(*SOURCES)), _signature())
