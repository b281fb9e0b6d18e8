"""Positions as consequences of fills, and what a fill does to the balances. Exact in Decimal."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.market import Pair
from trading.orders import Fill, OrderIntent
from trading.portfolio.exact import divide, exactly


@dataclass(frozen=True, slots=True)
class Position:
    """The quantity that decisions have bought (above zero) or sold out of inventory (below zero) and not yet closed."""

    account: str
    pair: Pair
    quantity: Decimal  # base currency, signed, never zero
    entry_price: Decimal  # average, quote per base, fees apart
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_at: datetime  # of the fill that opened it
    trailing_after: Decimal | None = None  # once the price was there, the stop follows the best price ...
    trailing_distance: Decimal | None = None  # ... this far behind
    best_price: Decimal | None = None  # the best that was seen since it opened; None: only its own fills
    checked_until: datetime | None = None  # close of the last candle that its levels were compared with
    exit_reason: str = ""  # why it must be closed; empty while nothing was touched


def cash_flows(fill: Fill) -> dict[str, Decimal]:
    """Return what one fill adds to each asset's balance; the fee leaves in `fee_asset`."""
    with exactly():
        flows = {
            fill.pair.base: fill.side.sign * fill.quantity,
            fill.pair.quote: -fill.side.sign * fill.quantity * fill.price,
        }
        flows[fill.fee_asset] = flows.get(fill.fee_asset, Decimal(0)) - fill.fee
    return flows


def after_fill(position: Position | None, fill: Fill, intent: OrderIntent) -> Position | None:
    """Return the position once `fill` is in: opened, grown at the average price, shrunk, turned, or gone (None)."""
    with exactly():
        change = fill.side.sign * fill.quantity
        total = change if position is None else position.quantity + change
        if total == 0:
            return None
        if position is None or (total > 0) != (position.quantity > 0):
            return _open(total, fill, intent)
        if abs(total) < abs(position.quantity):
            return replace(position, quantity=total)
        return _grow(position, total, fill, intent)


def _grow(position: Position, total: Decimal, fill: Fill, intent: OrderIntent) -> Position:
    """At the average price. Prices from before its levels were set count for none of them."""
    levels = (intent.stop_loss, intent.take_profit)
    same_levels = levels == (position.stop_loss, position.take_profit)  # as in the parts of one order
    cost = position.quantity * position.entry_price + fill.side.sign * fill.quantity * fill.price
    return replace(
        position,
        quantity=total,
        entry_price=divide(cost, total),
        stop_loss=intent.stop_loss,
        take_profit=intent.take_profit,
        opened_at=position.opened_at if same_levels else fill.filled_at,
    )


def _open(quantity: Decimal, fill: Fill, intent: OrderIntent) -> Position:
    return Position(
        account=fill.account,
        pair=fill.pair,
        quantity=quantity,
        entry_price=fill.price,
        stop_loss=intent.stop_loss,
        take_profit=intent.take_profit,
        opened_at=fill.filled_at,
    )
