"""Compiled: what borrowing costs and where the venue takes the position away."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trading.backtest.compiling import inlined
from trading.backtest.kernel_time import first_at
from trading.margin import arithmetic as margin_arithmetic

Integers = npt.NDArray[np.int64]
Record = Any  # one element of a structured array, its fields read and written as attributes

rollover_cost = inlined(margin_arithmetic.rollover_cost)
rollover_periods = inlined(margin_arithmetic.rollover_periods)
liquidation_price = inlined(margin_arithmetic.liquidation_price)


@inlined
def liquidation_at(account: Record, terms: Record) -> float:
    """Price at which the venue closes the position, beyond every price where nothing is lent."""
    if account.lent == 0.0:
        return -np.inf if account.quantity > 0 else np.inf
    lent = account.lent / account.quantity if account.quantity > 0 else 0.0  # per unit; a short owes no quote
    price: float = liquidation_price(
        account.cash, account.quantity, lent, terms.leverage, terms.liquidation_level
    )
    return price


@inlined
def charge_rollovers(moment: int, account: Record, terms: Record) -> None:
    """Charge what borrowing has cost until `moment`."""
    if account.lent == 0.0:
        return
    periods = rollover_periods(account.borrowed_at, moment, terms.rollover_period)
    if periods > account.rollovers:
        cost = rollover_cost(account.lent, terms.rollover_fee, periods - account.rollovers)
        account.cash -= cost
        account.margin_cost += cost
        account.margin_costs += cost
        account.rollovers = periods


@inlined
def next_rollover(open_time: Integers, candle: int, account: Record, terms: Record) -> int:
    if account.lent == 0.0:
        return open_time.size
    due = account.borrowed_at + (account.rollovers + 1) * terms.rollover_period
    return first_at(open_time, due, candle + 1)
