"""Compiled: fills, what borrowing costs, and the trades that they add up to."""

from typing import NamedTuple

import numpy as np

from trading import fills as fill_arithmetic
from trading.backtest.compiling import inline
from trading.backtest.records import Arrays, Record
from trading.margin import arithmetic as margin_arithmetic
from trading.risk import cool_down as cool_down_arithmetic

cool_down_end = inline(cool_down_arithmetic.cool_down_end)
price_factor = inline(fill_arithmetic.price_factor)
rollover_cost = inline(margin_arithmetic.rollover_cost)
rollover_periods = inline(margin_arithmetic.rollover_periods)


class Moment(NamedTuple):
    """When a fill happens."""

    candle: int
    time: int  # microseconds: the open of the candle, or of the row of the path


@inline
def average_price(price: float, quantity: float, new_price: float, new_quantity: float) -> float:
    """Return exactly the new price when there was nothing before."""
    if quantity == 0.0:
        return new_price
    return (price * quantity + new_price * new_quantity) / (quantity + new_quantity)


@inline
def taker_fee(time: int, arrays: Arrays) -> float:
    """Return what the venue charges at this time."""
    row = arrays.fee_from.size - 1
    while row > 0 and arrays.fee_from[row] > time:
        row -= 1
    fee: float = arrays.taker_fee[row]
    return fee


@inline
def execute(
    quantity: float, reference: float, reason: int, moment: Moment, arrays: Arrays
) -> tuple[float, float]:
    """Trade `quantity` (signed) at the venue's price `reference`; returns price and fee."""
    account, terms = arrays.account[0], arrays.terms[0]
    sign = 1.0 if quantity > 0 else -1.0
    worth = account.cash + account.quantity * reference
    if worth > 0:
        account.turnover += abs(quantity) * reference / worth
    price = reference * price_factor(sign, terms.half_spread, terms.slippage)
    fee = abs(quantity) * price * taker_fee(moment.time, arrays)
    account.cash -= quantity * price + fee
    account.quantity += quantity
    account.fees += fee
    fill = arrays.fills[min(account.fills, arrays.fills.size - 1)]
    fill.quantity = quantity
    fill.price = price
    fill.fee = fee
    fill.held = account.quantity
    fill.time = moment.time
    fill.candle = moment.candle
    fill.reason = reason
    account.fills += 1
    return price, fee


@inline
def reduce_position(quantity: float, reference: float, reason: int, moment: Moment, arrays: Arrays) -> None:
    """Reduce the position or leave it: sell, or buy back what was sold short."""
    account = arrays.account[0]
    before = account.quantity
    price, fee = execute(quantity, reference, reason, moment, arrays)
    account.exit_price = average_price(account.exit_price, account.exited, price, abs(quantity))
    account.exited += abs(quantity)
    account.exit_fee += fee
    account.lent *= account.quantity / before


@inline
def record_trade(direction: float, reason: int, time: int, arrays: Arrays) -> float:
    """Write the trade down and return its profit; `exit_price` and `exited` already include everything."""
    account = arrays.account[0]
    pnl: float = direction * (account.exit_price - account.entry_price) * account.entered
    pnl -= account.entry_fee + account.exit_fee + account.margin_cost
    if pnl > 0:
        account.winners += 1
        account.gross_profit += pnl
    else:
        account.gross_loss -= pnl
    trade = arrays.trades[min(account.trades, arrays.trades.size - 1)]
    trade.quantity = account.entered
    trade.entry_price = account.entry_price
    trade.exit_price = account.exit_price
    trade.entry_fee = account.entry_fee
    trade.exit_fee = account.exit_fee
    trade.margin_cost = account.margin_cost
    trade.pnl = pnl
    trade.entry_time = account.entry_time
    trade.exit_time = time
    trade.direction = direction
    trade.reason = reason
    account.trades += 1
    return pnl


@inline
def close_out(reference: float, reason: int, moment: Moment, known: int, arrays: Arrays) -> None:
    """End the position at `reference`; `known` is the time by which it has certainly happened."""
    account, terms = arrays.account[0], arrays.terms[0]
    charge_rollovers(known, arrays)
    direction = 1.0 if account.quantity > 0 else -1.0
    reduce_position(-account.quantity, reference, reason, moment, arrays)
    if record_trade(direction, reason, moment.time, arrays) < 0:
        account.streak += 1
    else:
        account.streak = 0
    if terms.losing_streak > 0 and account.streak >= terms.losing_streak:
        account.streak = 0
        opened = arrays.open_time[moment.candle]
        account.resumes = cool_down_end(
            known, opened, terms.cool_down, terms.cool_down_candles, terms.candle_length
        )


@inline
def charge_margin(cost: float, account: Record) -> None:
    account.cash -= cost
    account.margin_cost += cost
    account.margin_costs += cost


@inline
def charge_rollovers(time: int, arrays: Arrays) -> None:
    """Charge what borrowing has cost until `time`."""
    account, terms = arrays.account[0], arrays.terms[0]
    if account.lent == 0.0:
        return
    periods = rollover_periods(account.borrowed_at, time, terms.rollover_period)
    if periods > account.rollovers:
        charge_margin(rollover_cost(account.lent, terms.rollover_fee, periods - account.rollovers), account)
        account.rollovers = periods


@inline
def next_rollover(candle: int, arrays: Arrays) -> int:
    """Return the first candle after this one that opens when a rollover is due, n when none is."""
    account = arrays.account[0]
    if account.lent == 0.0:
        return arrays.open_time.size
    due = account.borrowed_at + (account.rollovers + 1) * arrays.terms[0].rollover_period
    found: int = max(candle + 1, np.searchsorted(arrays.open_time, due))
    return found
