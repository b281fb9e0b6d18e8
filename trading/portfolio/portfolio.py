"""The portfolio that an account's fills lead to. Exact in Decimal; no balance changes in any other way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Fill
from trading.portfolio.exact import exactly
from trading.portfolio.positions import cash_flows
from trading.portfolio.trades import Holding, book_fill, check_fill, sort_fills
from trading.portfolio.valuation import allocation, equity


@dataclass(frozen=True, slots=True)
class Profit:
    """The profit of trading, in one quote asset, at one moment's prices."""

    realised: Decimal  # of what was closed, before fees
    unrealised: Decimal  # of what is still open
    fees: Decimal  # paid in whatever asset

    @property
    def net(self) -> Decimal:
        with exactly():
            return self.realised + self.unrealised - self.fees


@dataclass(frozen=True, slots=True)
class Portfolio:
    """The state of an account as its opening balances and its fills make it, without a price.

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

        Fills are facts: one that the account could not have paid for leaves a balance below zero. Raises InvalidValue
        for an opening balance that is no number, a fill that cannot be, and a fill that is there twice.
        """
        for asset, amount in opening.items():
            if not amount.is_finite():
                raise InvalidValue(f"opening balance of {asset} is {amount}: a number is wanted")
        portfolio = cls(dict(opening), dict(opening), {}, {}, {})
        for fill in _check_distinct(sort_fills(fills)):
            portfolio = portfolio.after(fill)
        return portfolio

    def after(self, fill: Fill) -> "Portfolio":
        """Add one more fill, or raise InvalidValue as `of` does."""
        holding, trade = book_fill(self.holdings.get(fill.pair), check_fill(fill))
        others = {pair: each for pair, each in self.holdings.items() if pair != fill.pair}
        with exactly():
            realised = self.realised.get(fill.pair, Decimal(0)) + (trade.pnl if trade else Decimal(0))
            return Portfolio(
                opening=self.opening,
                balances=_add(self.balances, cash_flows(fill)),
                holdings=others | ({fill.pair: holding} if holding else {}),
                realised={**self.realised, fill.pair: realised},
                fees=_add(self.fees, {fill.fee_asset: fill.fee}),
            )

    def equity(self, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
        return equity(self.balances, quote, prices)

    def allocation(self, quote: str, prices: Mapping[Pair, Decimal]) -> dict[str, Decimal]:
        return allocation(self.balances, quote, prices)

    def profit(self, quote: str, prices: Mapping[Pair, Decimal]) -> Profit:
        """Value everything at today's `prices`, also what was realised long ago. NotStored names a missing price."""
        with exactly():
            return Profit(
                realised=self.realised_in(quote, prices),
                unrealised=sum(
                    (unrealised(each, quote, prices) for each in self.holdings.values()), Decimal(0)
                ),
                fees=equity(self.fees, quote, prices),
            )

    def realised_in(self, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
        """Value the gains of what was closed, before fees, at `prices`."""
        return equity(self.gains, quote, prices)

    @property
    def gains(self) -> dict[str, Decimal]:
        """Return what was realised, before fees, by the asset that it came in."""
        gains: dict[str, Decimal] = {}
        with exactly():
            for pair, gain in self.realised.items():
                gains[pair.quote] = gains.get(pair.quote, Decimal(0)) + gain
        return gains


def unrealised(holding: Holding, quote: str, prices: Mapping[Pair, Decimal]) -> Decimal:
    """Return what the holding is worth more than it cost, in `quote`; its own pair's price is not needed."""
    flows = {holding.pair.base: holding.quantity, holding.pair.quote: -holding.cost}
    return equity(flows, quote, prices)


def _check_distinct(fills: Sequence[Fill]) -> Sequence[Fill]:
    known: set[str] = set()
    for fill in fills:
        if fill.account != fills[0].account:
            raise InvalidValue(f"fill {fill.fill_id} is of {fill.account}, others are of {fills[0].account}")
        if fill.fill_id in known:
            raise InvalidValue(f"fill {fill.fill_id} is there twice: book each fill once")
        known.add(fill.fill_id)
    return fills


def _add(amounts: Mapping[str, Decimal], more: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {**amounts, **{name: amounts.get(name, Decimal(0)) + amount for name, amount in more.items()}}
