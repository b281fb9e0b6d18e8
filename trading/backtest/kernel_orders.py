"""Compiled: from a target exposure to a fill, past the rules of the account."""

from typing import Any

import numpy as np

from trading import fills as fill_arithmetic
from trading.backtest.compiling import inlined
from trading.backtest.kernel_exits import move_trail
from trading.backtest.kernel_trades import average_price, close_out, execute, leave
from trading.backtest.records import Reason, Records, Refusal
from trading.margin import arithmetic as margin_arithmetic

Record = Any  # one element of a structured array, its fields read and written as attributes

price_factor = inlined(fill_arithmetic.price_factor)
cost_share = inlined(fill_arithmetic.cost_share)
traded_value = inlined(fill_arithmetic.traded_value)
opening_cost = inlined(margin_arithmetic.opening_cost)

SIGNAL = int(Reason.SIGNAL)
INSOLVENT = int(Refusal.INSOLVENT)
SHORTS = int(Refusal.SHORTS)
LEVERAGE = int(Refusal.LEVERAGE)
DRAWDOWN_PAUSE = int(Refusal.DRAWDOWN_PAUSE)
DAILY_LOSS = int(Refusal.DAILY_LOSS)
COOL_DOWN = int(Refusal.COOL_DOWN)
ALLOWED = -1


@inlined
def refused_by(target: float, worth: float, moment: int, account: Record, terms: Record) -> int:
    if not worth > 0:
        return INSOLVENT
    if target < 0 and terms.shorts == 0:
        return SHORTS
    if abs(target) > (terms.leverage if terms.margin else min(terms.leverage, 1.0)):
        return LEVERAGE
    if account.paused >= 0:
        return DRAWDOWN_PAUSE
    if account.day_closed:
        return DAILY_LOSS
    if moment < account.resumes:
        return COOL_DOWN
    return ALLOWED


@inlined
def count_refusal(refusal: int, account: Record) -> None:
    if refusal == INSOLVENT:
        account.refused_insolvent += 1
    elif refusal == SHORTS:
        account.refused_shorts += 1
    elif refusal == LEVERAGE:
        account.refused_leverage += 1
    elif refusal == DRAWDOWN_PAUSE:
        account.refused_drawdown_pause += 1
    elif refusal == DAILY_LOSS:
        account.refused_daily_loss += 1
    else:
        account.refused_cool_down += 1


@inlined
def protect(
    price: float,
    direction: float,
    stop: float,
    take_profit: float,
    trailing: float,
    account: Record,
    terms: Record,
) -> None:
    """Levels of a new position, from the price that was paid."""
    stop = np.inf if np.isnan(stop) else stop
    take_profit = np.inf if np.isnan(take_profit) else take_profit
    trailing = np.inf if np.isnan(trailing) else trailing
    account.stop = price * (1.0 - direction * stop)
    account.take_profit = price * (1.0 + direction * take_profit)
    account.trail_distance = price * trailing
    risked = stop if stop < np.inf else trailing
    account.trail_from = price * (1.0 + direction * (terms.trailing_after * risked))
    account.trail = -direction * np.inf
    account.best = price
    if trailing < np.inf:
        move_trail(account)


@inlined
def begin_trade(time: int, account: Record) -> None:
    account.entry_time = time
    account.entered = account.left = account.lent = 0.0
    account.entry_fee = account.exit_fee = account.margin_cost = 0.0
    account.rollovers = 0


@inlined
def enter(
    target: float,
    worth: float,
    price: float,
    time: int,
    candle: int,
    stop: float,
    take_profit: float,
    trailing: float,
    account: Record,
    terms: Record,
    fills: Records,
) -> None:
    """Open a position or make it larger."""
    direction = 1.0 if target > 0 else -1.0
    borrows = terms.margin and (target < 0 or target > 1)
    factor = price_factor(direction, terms.half_spread, terms.slippage)
    lost = cost_share(direction, factor, terms.taker_fee)
    if borrows:
        lost += opening_cost(factor, terms.opening_fee)
    held = account.quantity * price
    value = traded_value(worth, held, target, direction, lost)
    opens = account.quantity == 0.0
    if opens:
        begin_trade(time, account)
    quantity = direction * (value / price)
    paid, fee = execute(quantity, price, SIGNAL, time, candle, account, terms, fills)
    account.entry_price = average_price(account.entry_price, account.entered, paid, abs(quantity))
    account.entered += abs(quantity)
    account.entry_fee += fee
    if borrows:
        cost = opening_cost(abs(quantity) * paid, terms.opening_fee)
        account.cash -= cost
        account.margin_cost += cost
        account.margin_costs += cost
        if account.lent == 0.0:
            account.borrowed_at = time
            account.rollovers = 0
        account.lent += abs(quantity) * paid
    if opens:
        protect(paid, direction, stop, take_profit, trailing, account, terms)


@inlined
def carry_out(
    target: float,
    price: float,
    time: int,
    candle: int,
    stop: float,
    take_profit: float,
    trailing: float,
    account: Record,
    terms: Record,
    fills: Records,
    trades: Records,
) -> bool:
    """Go for the exposure `target` at the open `price`; returns whether it was carried out."""
    held = account.quantity * price
    if account.quantity != 0.0 and not target * account.quantity > 0:  # out, perhaps to turn
        close_out(price, SIGNAL, time, time, candle, account, terms, fills, trades)
        account.carried = held = 0.0
    if target == 0.0:
        account.carried = 0.0
        return True
    worth = account.cash + held
    change = target * worth - held
    grows = change > 0 if target > 0 else change < 0
    if account.quantity != 0.0 and not grows:
        direction = 1.0 if target > 0 else -1.0
        factor = price_factor(-direction, terms.half_spread, terms.slippage)
        lost = cost_share(-direction, factor, terms.taker_fee)
        quantity = traded_value(worth, held, target, -direction, lost) / price
        if quantity >= abs(account.quantity):
            close_out(price, SIGNAL, time, time, candle, account, terms, fills, trades)
        elif quantity > 0:
            leave(-direction * quantity, price, SIGNAL, time, candle, account, terms, fills)
        account.carried = target
        return True
    refusal = refused_by(target, worth, time, account, terms)
    if refusal != ALLOWED:
        count_refusal(refusal, account)
        return False
    enter(target, worth, price, time, candle, stop, take_profit, trailing, account, terms, fills)
    account.carried = target
    return True
