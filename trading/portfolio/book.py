"""Balances and positions as consequences of fills. Exact in Decimal; no balance changes in any other way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Fill, OrderIntent
from trading.portfolio.exact import check_amount, divided, exactly
from trading.portfolio.trades import Holding, booked, checked, in_order
from trading.portfolio.valuation import allocation, equity


@dataclass(frozen=True, slots=True)
class Position:
    """What decisions have bought (quantity above zero) or sold out of inventory (below zero) and not yet undone."""

    account: str
    pair: Pair
    quantity: Decimal  # base currency, signed, never zero
    entry_price: Decimal  # average, quote per base, fees apart
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_at: (
        datetime  # since when these levels hold: a fill that grows the position with others begins anew
    )


def cash_flows(fill: Fill) -> dict[str, Decimal]:
    """What one fill adds to each asset's balance; the fee leaves in `fee_asset`."""
    with exactly():
        flows = {
            fill.pair.base: fill.side.sign * fill.quantity,
            fill.pair.quote: -fill.side.sign * fill.quantity * fill.price,
        }
        flows[fill.fee_asset] = flows.get(fill.fee_asset, Decimal(0)) - fill.fee
    return flows


def after_fill(position: Position | None, fill: Fill, intent: OrderIntent) -> Position | None:
    """The position once `fill` is in: opened, grown at the average price, shrunk, turned, or gone (None)."""
    with exactly():
        change = fill.side.sign * fill.quantity
        total = change if position is None else position.quantity + change
        if total == 0:
            return None
        if position is None or (total > 0) != (position.quantity > 0):
            return _opened(total, fill, intent)
        if abs(total) < abs(position.quantity):
            return replace(position, quantity=total)
        return _grown(position, total, fill, intent)


def _grown(position: Position, total: Decimal, fill: Fill, intent: OrderIntent) -> Position:
    """At the average price. Prices from before its levels were set touch none of them."""
    levels = (intent.stop_loss, intent.take_profit)
    kept = levels == (position.stop_loss, position.take_profit)  # as by the parts of one order
    cost = position.quantity * position.entry_price + fill.side.sign * fill.quantity * fill.price
    return Position(
        position.account,
        position.pair,
        total,
        divided(cost, total),
        *levels,
        position.opened_at if kept else fill.filled_at,
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


@dataclass(frozen=True, slots=True)
class Profit:
    """What trading gained, in one quote asset, at one moment's prices."""

    realised: Decimal  # of what was undone, before fees
    unrealised: Decimal  # of what is still open
    fees: Decimal  # paid in whatever asset

    @property
    def net(self) -> Decimal:
        with exactly():
            return self.realised + self.unrealised - self.fees


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Everything that an account's opening balances and its fills say, without a price.

    At any prices, exactly: equity = equity of the opening balances + realised + unrealised profit - fees, all
    valued at the same prices. The equity that the opening balances gain by themselves is no profit of trading.
    """

    opening: Mapping[str, Decimal]
    balances: Mapping[str, Decimal]
    holdings: Mapping[Pair, Holding]  # what is open, by pair; its cost is an average, its fees are in `fees`
    realised: Mapping[Pair, Decimal]  # in each pair's quote, before fees
    fees: Mapping[str, Decimal]  # paid so far, by the asset they were paid in

    @classmethod
    def of(cls, opening: Mapping[str, Decimal], fills: Iterable[Fill]) -> "Portfolio":
        """Fold the fills of one account, oldest first, over its opening balances.

        Raises InvalidValue for an opening balance or a fill that cannot be, a fill that is there twice, and a
        fill that the account could not have paid for: nothing is borrowed here.
        """
        for asset, amount in opening.items():
            check_amount(f"opening balance of {asset}", amount)
        portfolio = cls(dict(opening), dict(opening), {}, {}, {})
        for fill in _distinct(in_order(fills)):
            portfolio = portfolio.after(fill)
        return portfolio

    def after(self, fill: Fill) -> "Portfolio":
        """With one more fill, or InvalidValue as `of` raises it."""
        holding, trade = booked(self.holdings.get(fill.pair), checked(fill))
        others = {pair: each for pair, each in self.holdings.items() if pair != fill.pair}
        with exactly():
            realised = self.realised.get(fill.pair, Decimal(0)) + (trade.pnl if trade else Decimal(0))
            return Portfolio(
                opening=self.opening,
                balances=_paid(self.balances, fill),
                holdings=others | ({fill.pair: holding} if holding else {}),
                realised={**self.realised, fill.pair: realised},
                fees=_added(self.fees, {fill.fee_asset: fill.fee}),
            )

    def equity(self, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
        return equity(self.balances, quote, prices)

    def allocation(self, quote: str, prices: Mapping[Pair, Decimal]) -> dict[str, Decimal]:
        return allocation(self.balances, quote, prices)

    def profit(self, quote: str, prices: Mapping[Pair, Decimal]) -> Profit:
        """Everything at today's `prices`, what was realised or paid long ago too. NotStored names a missing one."""
        with exactly():
            return Profit(
                realised=self.realised_in(quote, prices),
                unrealised=sum(
                    (unrealised(each, quote, prices) for each in self.holdings.values()), Decimal(0)
                ),
                fees=equity(self.fees, quote, prices),
            )

    def realised_in(self, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
        """Gains of what was undone, before fees, valued at `prices`."""
        gains: dict[str, Decimal] = {}
        with exactly():
            for pair, gain in self.realised.items():
                gains[pair.quote] = gains.get(pair.quote, Decimal(0)) + gain
        return equity(gains, quote, prices)


def unrealised(holding: Holding, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
    """What the holding is worth more than it cost, in `quote`; its own pair's price is not asked for."""
    flows = {holding.pair.base: holding.quantity, holding.pair.quote: -holding.cost}
    return equity(flows, quote, prices)


def _distinct(fills: Sequence[Fill]) -> Sequence[Fill]:
    known: set[str] = set()
    for fill in fills:
        if fill.account != fills[0].account:
            raise InvalidValue(f"fill {fill.fill_id} is of {fill.account}, others are of {fills[0].account}")
        if fill.fill_id in known:
            raise InvalidValue(f"fill {fill.fill_id} is there twice: book each fill once")
        known.add(fill.fill_id)
    return fills


def _paid(balances: Mapping[str, Decimal], fill: Fill) -> dict[str, Decimal]:
    flows = cash_flows(fill)
    for asset, change in flows.items():
        held = balances.get(asset, Decimal(0))
        if held + change < 0:
            raise InvalidValue(
                f"fill {fill.fill_id} needs {-change:f} {asset}, the account has {held:f}: nothing is borrowed"
            )
    return _added(balances, flows)


def _added(amounts: Mapping[str, Decimal], more: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {**amounts, **{name: amounts.get(name, Decimal(0)) + amount for name, amount in more.items()}}
