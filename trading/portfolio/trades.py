"""Holdings that fills opened, and the round trips that closed them. Average cost, exact, fees apart until the end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from trading.market import Pair
from trading.orders import Fill
from trading.portfolio.exact import check_amount, check_positive, divide, exactly, pro_rata
from trading.portfolio.rates import rate

NO_PRICES: Mapping[Pair, Decimal] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Holding:
    """The quantity that fills of one pair have bought (above zero) or sold first (below zero) and not yet closed."""

    pair: Pair
    quantity: Decimal  # base currency, signed, never zero
    cost: Decimal  # quote: quantity at its average price, with the sign of quantity
    fees: Decimal  # quote: of the fills that opened what is still open
    opened_at: datetime

    @property
    def entry_price(self) -> Decimal:
        """Average cost, quote per base, fees apart."""
        return divide(self.cost, self.quantity)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A part of a holding that was closed, at its average cost."""

    pair: Pair
    opened_at: datetime  # when the holding first left zero
    closed_at: datetime
    quantity: Decimal  # base currency; above zero: bought, then sold; below zero: sold, then bought back
    entry_price: Decimal  # average, quote per base
    exit_price: Decimal
    fees: Decimal  # quote: of the closing fill, and the part of the opening ones that belongs to it
    pnl: Decimal  # quote, after fees


def closed_trades(fills: Iterable[Fill], prices: Mapping[Pair, Decimal] = NO_PRICES) -> list[ClosedTrade]:
    """List the round trips of each account and pair, oldest first; a partial close is a trade of that part.

    A fill that turns a position closes one trade and opens the next, its fee divided by quantity. A fee in the
    base asset counts at the fill's own price, one in a third asset at `prices` (NotStored without one).
    Raises InvalidValue for a fill that no venue could report.
    """
    holdings: dict[tuple[str, Pair], Holding | None] = {}
    closed: list[ClosedTrade] = []
    for fill in sort_fills(fills):
        key = (fill.account, fill.pair)
        holdings[key], trade = book_fill(holdings.get(key), fill, fee_in_quote(fill, prices))
        closed += [trade] if trade else []
    return closed


def sort_fills(fills: Iterable[Fill]) -> list[Fill]:
    """Check the fills and sort them, oldest first; fills of one moment stay in the order given."""
    return sorted(map(check_fill, fills), key=lambda fill: fill.filled_at)


def check_fill(fill: Fill) -> Fill:
    """Return the fill; InvalidValue names the field that no venue could report."""
    for name in ("price", "quantity"):
        check_positive(f"fill {fill.fill_id}: {name}", getattr(fill, name))
    check_amount(f"fill {fill.fill_id}: fee", fill.fee)
    return fill


def fee_in_quote(fill: Fill, prices: Mapping[Pair, Decimal]) -> Decimal:
    """Convert the fee at the fill's own price, or at `prices` for a third asset (NotStored without one)."""
    if not fill.fee:
        return fill.fee
    known = {**prices, fill.pair: fill.price}
    with exactly():
        return fill.fee * rate(fill.fee_asset, fill.pair.quote, known)


def book_fill(
    holding: Holding | None, fill: Fill, fee: Decimal = Decimal(0)
) -> tuple[Holding | None, ClosedTrade | None]:
    """Return the holding once a checked `fill` is in, and the trade that it closed. `fee` is in quote."""
    change = fill.side.sign * fill.quantity
    with exactly():
        if holding is None or (holding.quantity > 0) == (change > 0):
            return _grow(holding, fill, change, fee), None
        closing = min(holding.quantity, -change, key=abs)  # signed like the holding
        closing_fee = pro_rata(fee, abs(closing), fill.quantity)
        remaining, trade = _close(holding, fill, closing, closing_fee)
        if change == -closing:
            return remaining, trade
        return _grow(None, fill, change + closing, fee - closing_fee), trade


def _grow(holding: Holding | None, fill: Fill, change: Decimal, fee: Decimal) -> Holding:
    cost = change * fill.price
    if holding is None:
        return Holding(fill.pair, change, cost, fee, fill.filled_at)
    return replace(
        holding, quantity=holding.quantity + change, cost=holding.cost + cost, fees=holding.fees + fee
    )


def _close(
    holding: Holding, fill: Fill, closing: Decimal, fee: Decimal
) -> tuple[Holding | None, ClosedTrade]:
    cost = pro_rata(holding.cost, closing, holding.quantity)
    opening_fees = pro_rata(holding.fees, closing, holding.quantity)
    fees = opening_fees + fee
    trade = ClosedTrade(
        pair=holding.pair,
        opened_at=holding.opened_at,
        closed_at=fill.filled_at,
        quantity=closing,
        entry_price=holding.entry_price,
        exit_price=fill.price,
        fees=fees,
        pnl=closing * fill.price - cost - fees,
    )
    if closing == holding.quantity:
        return None, trade
    remaining = replace(
        holding,
        quantity=holding.quantity - closing,
        cost=holding.cost - cost,
        fees=holding.fees - opening_fees,
    )
    return remaining, trade
