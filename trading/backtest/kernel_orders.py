"""Compiled: from a target exposure to a fill, past the rules of the account."""

from trading import fills as fill_arithmetic
from trading.backtest.compiling import inline
from trading.backtest.kernel_protection import protect
from trading.backtest.kernel_trades import (
    Moment,
    average_price,
    charge_margin,
    close_out,
    execute,
    price_factor,
    reduce_position,
    taker_fee,
)
from trading.backtest.records import Arrays, EntryRefusal, Reason, Record
from trading.margin import arithmetic as margin_arithmetic

cost_share = inline(fill_arithmetic.cost_share)
traded_value = inline(fill_arithmetic.traded_value)
opening_cost = inline(margin_arithmetic.opening_cost)

SIGNAL = int(Reason.SIGNAL)
INSOLVENT = int(EntryRefusal.INSOLVENT)
SHORTS = int(EntryRefusal.SHORTS)
LEVERAGE = int(EntryRefusal.LEVERAGE)
DRAWDOWN_PAUSE = int(EntryRefusal.DRAWDOWN_PAUSE)
DAILY_LOSS = int(EntryRefusal.DAILY_LOSS)
COOL_DOWN = int(EntryRefusal.COOL_DOWN)
ALLOWED = -1


@inline
def carry_out(target: float, moment: Moment, arrays: Arrays) -> bool:
    """Trade to the exposure `target` at the candle's open; returns whether it was carried out."""
    account = arrays.account[0]
    price = arrays.open[moment.candle]
    if account.quantity != 0.0 and not target * account.quantity > 0:  # out, perhaps to turn
        close_out(price, SIGNAL, moment, moment.time, arrays)
        account.last_target = 0.0
    if target == 0.0:
        account.last_target = 0.0
        return True
    held = account.quantity * price
    worth = account.cash + held
    change = target * worth - held
    grows = change > 0 if target > 0 else change < 0
    if account.quantity != 0.0 and not grows:
        reduce_to(target, worth, price, moment, arrays)
    else:
        refusal = refused_by(target, worth, moment.time, account, arrays.terms[0])
        if refusal != ALLOWED:
            count_refusal(refusal, account)
            if account.quantity == 0.0:  # nothing is carried out any more, whatever a stop had ended before
                account.last_target = 0.0
            return False
        enter(target, worth, price, moment, arrays)
    account.last_target = target
    return True


@inline
def reduce_to(target: float, worth: float, price: float, moment: Moment, arrays: Arrays) -> None:
    """Make a position smaller, or end it where reaching the target after costs takes all of it."""
    account, terms = arrays.account[0], arrays.terms[0]
    side = -1.0 if target > 0 else 1.0  # of the order
    factor = price_factor(side, terms.half_spread, terms.slippage)
    lost = cost_share(side, factor, taker_fee(moment.time, arrays))
    quantity = traded_value(worth, account.quantity * price, target, side, lost) / price
    if quantity >= abs(account.quantity):
        close_out(price, SIGNAL, moment, moment.time, arrays)
    elif quantity > 0:
        reduce_position(side * quantity, price, SIGNAL, moment, arrays)


@inline
def refused_by(target: float, worth: float, time: int, account: Record, terms: Record) -> int:
    """Return the first rule that refuses to open or to enlarge, or ALLOWED."""
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
    if time < account.resumes:
        return COOL_DOWN
    return ALLOWED


@inline
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


@inline
def enter(target: float, worth: float, price: float, moment: Moment, arrays: Arrays) -> None:
    """Open a position or make it larger."""
    account, terms = arrays.account[0], arrays.terms[0]
    direction = 1.0 if target > 0 else -1.0
    borrows = terms.margin and (target < 0 or target > 1)
    factor = price_factor(direction, terms.half_spread, terms.slippage)
    lost = cost_share(direction, factor, taker_fee(moment.time, arrays))
    if borrows:
        lost += opening_cost(factor, terms.opening_fee)
    quantity = traded_value(worth, account.quantity * price, target, direction, lost) / price
    opens = account.quantity == 0.0
    if opens:
        begin_trade(moment.time, account)
    paid, fee = execute(direction * quantity, price, SIGNAL, moment, arrays)
    account.entry_price = average_price(account.entry_price, account.entered, paid, quantity)
    account.entered += quantity
    account.entry_fee += fee
    if borrows:
        borrow(quantity * paid, moment.time, account, terms)
    if opens:
        protect(paid, moment.candle - 1, arrays)


@inline
def begin_trade(time: int, account: Record) -> None:
    account.entry_time = time
    account.entered = account.exited = account.lent = 0.0
    account.entry_fee = account.exit_fee = account.margin_cost = 0.0
    account.rollovers = 0


@inline
def borrow(value: float, time: int, account: Record, terms: Record) -> None:
    """Pay the opening fee for the value that the venue lends; the first loan starts the rollover clock."""
    charge_margin(opening_cost(value, terms.opening_fee), account)
    if account.lent == 0.0:
        account.borrowed_at = time
        account.rollovers = 0
    account.lent += value
