"""Balances and positions as consequences of fills. Exact in Decimal; no balance changes in any other way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill, OrderIntent


@dataclass(frozen=True, slots=True)
class Position:
    """What decisions have bought (quantity above zero) or sold out of inventory (below zero) and not yet undone."""

    account: str
    pair: Pair
    quantity: Decimal  # base currency, signed, never zero
    entry_price: Decimal  # average, quote per base, fees apart
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_at: datetime


def cash_flows(fill: Fill) -> dict[str, Decimal]:
    """What one fill adds to each asset's balance; the fee leaves in `fee_asset`."""
    flows = {
        fill.pair.base: fill.side.sign * fill.quantity,
        fill.pair.quote: -fill.side.sign * fill.quantity * fill.price,
    }
    flows[fill.fee_asset] = flows.get(fill.fee_asset, Decimal(0)) - fill.fee
    return flows


def after_fill(position: Position | None, fill: Fill, intent: OrderIntent) -> Position | None:
    """The position once `fill` is in: opened, grown at the average price, shrunk, turned, or gone (None)."""
    change = fill.side.sign * fill.quantity
    if position is None:
        return _opened(change, fill, intent)
    total = position.quantity + change
    if total == 0:
        return None
    if (total > 0) != (position.quantity > 0):
        return _opened(total, fill, intent)
    if abs(total) < abs(position.quantity):
        return replace(position, quantity=total)
    average = (position.quantity * position.entry_price + change * fill.price) / total
    return replace(
        position,
        quantity=total,
        entry_price=average,
        stop_loss=intent.stop_loss,
        take_profit=intent.take_profit,
    )


def _opened(quantity: Decimal, fill: Fill, intent: OrderIntent) -> Position:
    return Position(
        fill.account,
        fill.pair,
        quantity,
        fill.price,
        intent.stop_loss,
        intent.take_profit,
        fill.filled_at,
    )


def rate(asset: str, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
    """Price of one `asset` in `quote`, directly or inverted.

    Raises NotStored when no pair joins the two: a missing price is never zero.
    """
    if asset == quote:
        return Decimal(1)
    if (direct := prices.get(Pair(asset, quote))) is not None:
        return direct
    if (inverse := prices.get(Pair(quote, asset))) is not None:
        return 1 / inverse
    raise NotStored(
        f"no price joins {asset} and {quote}: known pairs are {', '.join(map(str, prices)) or 'none'}"
    )


def equity(balances: Mapping[str, Decimal], quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
    """Value of all balances in `quote`."""
    return sum(
        (amount * rate(asset, quote, prices) for asset, amount in balances.items() if amount),
        Decimal(0),
    )
