"""Compiled: fills, and the trades that they add up to."""

from typing import Any

from trading import fills as fill_arithmetic
from trading.backtest.compiling import inlined
from trading.backtest.kernel_borrowing import charge_rollovers
from trading.backtest.records import Records

Record = Any  # one element of a structured array, its fields read and written as attributes

price_factor = inlined(fill_arithmetic.price_factor)


@inlined
def average_price(price: float, quantity: float, new_price: float, new_quantity: float) -> float:
    """Exactly the new price when there was nothing before."""
    if quantity == 0.0:
        return new_price
    return (price * quantity + new_price * new_quantity) / (quantity + new_quantity)


@inlined
def execute(
    quantity: float,
    reference: float,
    reason: int,
    time: int,
    candle: int,
    account: Record,
    terms: Record,
    fills: Records,
) -> tuple[float, float]:
    """Trade `quantity` (signed) at the venue's price `reference`; returns price and fee."""
    sign = 1.0 if quantity > 0 else -1.0
    worth = account.cash + account.quantity * reference
    if worth > 0:
        account.turnover += abs(quantity) * reference / worth
    price = reference * price_factor(sign, terms.half_spread, terms.slippage)
    fee = abs(quantity) * price * terms.taker_fee
    account.cash -= quantity * price + fee
    account.quantity += quantity
    account.fees += fee
    fill = fills[min(account.fills, fills.size - 1)]
    fill.quantity = quantity
    fill.price = price
    fill.fee = fee
    fill.held = account.quantity
    fill.time = time
    fill.candle = candle
    fill.reason = reason
    account.fills += 1
    return price, fee


@inlined
def leave(
    quantity: float,
    reference: float,
    reason: int,
    time: int,
    candle: int,
    account: Record,
    terms: Record,
    fills: Records,
) -> None:
    """Sell (or buy back) a part of the position or all of it."""
    before = account.quantity
    price, fee = execute(quantity, reference, reason, time, candle, account, terms, fills)
    account.exit_price = average_price(account.exit_price, account.left, price, abs(quantity))
    account.left += abs(quantity)
    account.exit_fee += fee
    account.lent *= account.quantity / before


@inlined
def record_trade(direction: float, reason: int, time: int, account: Record, trades: Records) -> float:
    """Write the trade down; `exit_price` and `left` already hold all of it."""
    pnl: float = direction * (account.exit_price - account.entry_price) * account.entered
    pnl -= account.entry_fee + account.exit_fee + account.margin_cost
    if pnl > 0:
        account.winners += 1
        account.gross_profit += pnl
    else:
        account.gross_loss -= pnl
    trade = trades[min(account.trades, trades.size - 1)]
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


@inlined
def close_out(
    reference: float,
    reason: int,
    time: int,
    known: int,
    candle: int,
    account: Record,
    terms: Record,
    fills: Records,
    trades: Records,
) -> None:
    """End the position at `reference`; `known` is the moment by which it has certainly happened."""
    charge_rollovers(known, account, terms)
    direction = 1.0 if account.quantity > 0 else -1.0
    leave(-account.quantity, reference, reason, time, candle, account, terms, fills)
    if record_trade(direction, reason, time, account, trades) < 0:
        account.streak += 1
    else:
        account.streak = 0
    if terms.losing_streak > 0 and account.streak >= terms.losing_streak:
        account.streak = 0
        account.resumes = known + terms.cool_down
