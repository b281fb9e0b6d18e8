"""Kraken's spot margin in plain arithmetic: scalars in, scalars out, on float, on Decimal and under numba.njit.

What the venue publishes (support.kraken.com/articles/...):

* 206161568: an opening fee once, and a rollover fee for every four hours that the position stays open, both
  on the whole amount that was lent, collateral not deducted; the rate is locked in when the order executes.
  Trading fees come on top.
* 360030886332 (terminology): equity = trade balance + unrealised profit; used margin = opening cost / leverage;
  free margin = equity - used margin; margin level = equity / used margin.
* 203053156 (examples): what a short position borrows is the base asset, and its used margin is held in that
  asset, so its value follows the price. A position that would start below a margin level of 100 % is refused.
* 203325763: margin call at about 80 %, liquidation at about 40 %; the venue may move both with volatility.

Nothing is checked here: a caller passes finite numbers, leverage above zero, prices above zero.
"""

from decimal import Decimal
from typing import TypeVar

Amount = TypeVar("Amount", float, Decimal)


def opening_cost(value: Amount, opening_fee: Amount) -> Amount:
    """Return the one charge for a position of `value` (quote, at its opening price); `opening_fee` is a share of it."""
    return value * opening_fee


def rollover_cost(value: Amount, rollover_fee: Amount, periods: int) -> Amount:
    """Return the charge for `periods` rollovers of a position of `value` (quote, at its opening price)."""
    return value * rollover_fee * periods


def rollover_periods(opened_us: int, now_us: int, period_us: int) -> int:
    """Count the rollovers charged by `now_us`: whole periods since the opening, none before the first has passed."""
    return max((now_us - opened_us) // period_us, 0)


def used_margin(quantity: Amount, entry_price: Amount, price: Amount, leverage: Amount) -> Amount:
    """Return the equity that a position ties up, in quote, at today's `price`; `quantity` is signed.

    A long position owes quote, fixed when it was opened; a short one owes base, which costs today's price.
    """
    if quantity > 0:
        return quantity * entry_price / leverage
    return -quantity * price / leverage


def margin_level(equity: Amount, used_margin: Amount) -> Amount:
    """Return equity as a share of the used margin (0.4 = 40 %); without a position ZeroDivisionError."""
    return equity / used_margin


def liquidation_price(
    cash: Amount, quantity: Amount, entry_price: Amount, leverage: Amount, level: Amount
) -> Amount:
    """Return the price at which equity is `level` times the used margin; `level` 0.4 liquidates, 0.8 calls.

    `cash` is what the account holds beside the position, in quote, as if the position had been paid from it:
    equity = cash + quantity * price. Below zero for a long that borrowed, above its equity for a short.

    * long: liquidated at this price or below it; level * quantity * entry_price / leverage is what must be left
    * short: liquidated at this price or above it; level * -quantity * price / leverage is what must be left

    Never negative, never NaN: 0 for a long says that no price liquidates it, 0 for a short that every price
    does. Without a position (quantity 0) the result is 0.
    """
    price = cash - cash  # the zero of the caller's kind of number
    if quantity > 0:
        price = level * entry_price / leverage - cash / quantity
    elif quantity < 0:
        price = cash / (-quantity * (1 + level / leverage))
    return price if price > 0 else cash - cash
