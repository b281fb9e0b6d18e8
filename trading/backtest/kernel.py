"""The compiled walk through candles. Leaf module: importing it imports Numba, so `engine` does it late.

The rules are stated in `trading.backtest`; tests compare every number of this walk with a slow one in plain
Python, to the bit. The walk goes from event to event. Between two of them (a decision to execute, a new UTC day,
a rollover) nothing but protection can trade, so one loop looks for the first row that touches a level and
another marks the equity; while the account is flat, neither reads a price.

No fast-math: every number is the same on every machine and however many threads share the work.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import from_dtype, types

from trading import fills as fill_arithmetic
from trading.backtest import (
    compiling,
    kernel_marks,
    kernel_orders,
    kernel_protection,
    kernel_trades,
    records,
)
from trading.backtest.compiling import compile_cached, fingerprint, inline
from trading.backtest.kernel_marks import begin_day, end_day, end_drawdown, mark_cash, mark_position
from trading.backtest.kernel_orders import carry_out
from trading.backtest.kernel_protection import exit_inside, first_touch
from trading.backtest.kernel_trades import (
    Moment,
    average_price,
    charge_rollovers,
    close_out,
    next_rollover,
    record_trade,
)
from trading.backtest.records import LEAVE_LONG, LEAVE_SHORT, Arrays, Reason
from trading.margin import arithmetic as margin_arithmetic
from trading.risk import cool_down as cool_down_arithmetic

END = int(Reason.END)


@inline
def _walk(arrays: Arrays) -> None:
    account, size = arrays.account[0], arrays.open.size
    account.next_rollover = size
    _find_order(0, arrays)
    candle = 0
    while candle < size:
        if candle == account.next_day:
            begin_day(candle, arrays)
        if candle == account.next_rollover:
            charge_rollovers(arrays.open_time[candle], arrays)
            account.next_rollover = next_rollover(candle, arrays)
        if candle == account.next_order:
            _decide(candle, arrays)
        end = min(min(account.next_day, account.next_order), min(account.next_rollover, size))
        if account.quantity != 0.0:
            candle = _hold(candle, end, arrays)
        else:
            mark_cash(candle, end, arrays)
            candle = end
    _finish(arrays)


@inline
def _find_order(earliest: int, arrays: Arrays) -> None:
    """Find the candle at whose open the next decision is executed."""
    account, decided = arrays.account[0], arrays.decided
    if account.decision < decided.size:
        account.next_order = max(decided[account.decision] + 1, earliest)
    else:
        account.next_order = arrays.open.size


@inline
def _decide(candle: int, arrays: Arrays) -> None:
    """Execute the decision that is due."""
    account = arrays.account[0]
    if arrays.terms[0].votes:
        _vote(candle, arrays)
    else:
        _follow(candle, arrays)
    _find_order(candle + 1, arrays)
    account.next_rollover = arrays.open.size if account.quantity == 0.0 else next_rollover(candle, arrays)


@inline
def _vote(candle: int, arrays: Arrays) -> None:
    """Enter what was decided while flat, or leave the side that is held; never both in one step."""
    account, moment = arrays.account[0], Moment(candle, arrays.open_time[candle])
    target, leaves = arrays.target[account.decision], arrays.leaves[account.decision]
    if account.quantity == 0.0:
        if target != 0.0:
            carry_out(target, moment, arrays)
    elif leaves & (LEAVE_LONG if account.quantity > 0 else LEAVE_SHORT):
        carry_out(0.0, moment, arrays)
    account.decision += 1


@inline
def _follow(candle: int, arrays: Arrays) -> None:
    """Go to the exposure that was decided; one that a rule refuses is tried again as long as it stands."""
    account = arrays.account[0]
    target = arrays.target[account.decision]
    stands = target == account.last_target
    if stands and target != 0.0 and account.quantity == 0.0:
        account.refused_earlier_exit += 1
    done = stands or carry_out(target, Moment(candle, arrays.open_time[candle]), arrays)
    if done or arrays.until[account.decision] < candle:
        account.decision += 1


@inline
def _hold(candle: int, end: int, arrays: Arrays) -> int:
    """Mark the position until protection ends it, at most to `end`; returns the candle to go on from."""
    end_row = _first_row(end, arrays)
    row = first_touch(_first_row(candle, arrays), end_row, arrays)
    stopped = _candle_of(row, arrays) if row < end_row else end
    if stopped > candle:
        mark_position(candle, stopped, arrays)
    if row < end_row:
        _exit(row, stopped, arrays)
    return stopped


@inline
def _first_row(candle: int, arrays: Arrays) -> int:
    return arrays.first_row[candle] if arrays.first_row.size > 0 else candle


@inline
def _candle_of(row: int, arrays: Arrays) -> int:
    if arrays.first_row.size == 0:
        return row
    return int(np.searchsorted(arrays.first_row, row, side="right")) - 1


@inline
def _exit(row: int, candle: int, arrays: Arrays) -> None:
    """End the position inside a row."""
    account, terms = arrays.account[0], arrays.terms[0]
    price, reason, at_open = exit_inside(row, arrays)
    alone = _first_row(candle + 1, arrays) - _first_row(candle, arrays) == 1
    time = arrays.row_time[row]
    known = time
    if not at_open:
        known += terms.candle_length if alone else terms.row_length
    close_out(price, reason, Moment(candle, time), known, arrays)
    account.next_rollover = arrays.open.size


@inline
def _finish(arrays: Arrays) -> None:
    """Mark a position that is still open at the last close, as if it were sold there for nothing."""
    account, close = arrays.account[0], arrays.close
    end_day(arrays)
    end_drawdown(account)
    if account.quantity != 0.0:
        direction = 1.0 if account.quantity > 0 else -1.0
        held = abs(account.quantity)
        account.exit_price = average_price(account.exit_price, account.exited, close[close.size - 1], held)
        account.exited += held
        record_trade(direction, END, arrays.open_time[close.size - 1], arrays)


def _signature() -> Any:
    """Return the types of Arrays: everything before `account` is read only."""
    structured = {
        "terms": records.TERMS,
        "account": records.ACCOUNT,
        "fills": records.FILL,
        "trades": records.TRADE,
    }
    integers = {"open_time", "row_time", "first_row", "decided", "until", "leaves", "fee_from"}
    written = Arrays._fields[Arrays._fields.index("account") :]

    def kind(name: str) -> Any:
        if name in structured:
            return from_dtype(structured[name])
        return types.int64 if name in integers else types.float64

    arrays = [types.Array(kind(name), 1, "C", readonly=name not in written) for name in Arrays._fields]
    return types.void(types.NamedTuple(arrays, Arrays))  # type: ignore[no-untyped-call]


def _entry(sources: int) -> Callable[..., Any]:
    def walk(arrays: Arrays) -> None:
        sources  # noqa: B018  part of the cache's key, see trading.backtest.compiling
        _walk(arrays)

    return walk


SOURCES = (
    fill_arithmetic,
    margin_arithmetic,
    cool_down_arithmetic,
    compiling,
    records,
    kernel_marks,
    kernel_orders,
    kernel_protection,
    kernel_trades,
    sys.modules[__name__],
)
walk = compile_cached(_entry(fingerprint(*SOURCES)), _signature())
