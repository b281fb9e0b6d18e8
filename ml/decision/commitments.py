"""What an account's positions and unfilled orders are worth, and what they reserve of its balances."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from trading.fills import Costs
from trading.market import Instrument, Pair
from trading.orders import OrderIntent, Side
from trading.portfolio import Position, conversion_path, rate

MOVE_UNTIL_FILLED = 0.002  # between two candles; a larger gap is left to the venue to refuse


@dataclass(frozen=True, slots=True)
class OpenExposure:
    """A position, or an unfilled order that opens or grows one."""

    pair: Pair
    side: Side
    value: float  # equity currency, never negative


@dataclass(frozen=True, slots=True)
class Commitments:
    """Everything of one account at one moment's prices. An order without an outcome counts as if it were filled."""

    quote: str  # the equity currency
    balances: Mapping[str, Decimal]
    positions: tuple[Position, ...]
    unsettled: tuple[OrderIntent, ...]
    prices: Mapping[Pair, Decimal]
    instruments: Mapping[Pair, Instrument]
    costs: Mapping[Pair, Costs]

    def exposures(self) -> list[OpenExposure]:
        """List all exposures, gross: an order against a position makes neither smaller before it is filled."""
        return [
            *(self._exposure(each.pair, each.quantity) for each in self.positions),
            *(
                self._exposure(each.pair, each.side.sign * each.quantity)
                for each in self.unsettled
                if not each.reduces
            ),
        ]

    def _exposure(self, pair: Pair, quantity: Decimal) -> OpenExposure:
        value = float(abs(quantity) * rate(pair.base, self.quote, self.prices))
        return OpenExposure(pair, Side.BUY if quantity > 0 else Side.SELL, value)

    def free_balances(self, pair: Pair) -> dict[str, Decimal]:
        """Subtract from the balances what unsettled orders will spend and other pairs' positions need to be closed.

        A stop must find its inventory; the inventory of `pair` itself is left to the order.
        """
        free = dict(self.balances)
        for asset, amount in self._reservations(pair):
            free[asset] = max(free.get(asset, Decimal(0)) - amount, Decimal(0))
        return free

    def _reservations(self, pair: Pair) -> Iterator[tuple[str, Decimal]]:
        for position in self.positions:
            if position.pair != pair:
                yield self._spending(position.pair, -position.quantity)
        for intent in self.unsettled:
            yield self._spending(intent.pair, intent.side.sign * intent.quantity)

    def _spending(self, pair: Pair, quantity: Decimal) -> tuple[str, Decimal]:
        """Asset and amount that buying (above zero) or selling this quantity takes."""
        if quantity < 0:
            return pair.base, -quantity
        share = self.instruments[pair].taker_fee + Decimal(repr(self.price_buffer(pair)))
        return pair.quote, quantity * self.prices[pair] * (1 + share)

    def spendable_quote(self, pair: Pair, free: Mapping[str, Decimal]) -> Decimal:
        """Return the free quote balance less the price buffer of a purchase; risk itself counts the fee."""
        return free.get(pair.quote, Decimal(0)) / (1 + Decimal(repr(self.price_buffer(pair))))

    def price_buffer(self, pair: Pair) -> float:
        """Return the share that a market order may pay above the last close: spread, slippage, a small move."""
        return self.costs[pair].half_spread + self.costs[pair].slippage + MOVE_UNTIL_FILLED

    def valuation_pairs(self, pair: Pair) -> set[Pair]:
        """Return the pairs whose prices value the balances, the positions, unsettled orders and an order in `pair`."""
        balances = {asset for asset, amount in self.balances.items() if amount}
        traded = {each.pair.base for each in self.positions} | {each.pair.base for each in self.unsettled}
        return {
            step if (step := Pair(first, second)) in self.prices else Pair(second, first)
            for asset in balances | traded | {pair.quote}
            for first, second in pairwise(conversion_path(asset, self.quote, self.prices))
        }

    def oldest_unsettled_age(self, at: datetime) -> timedelta:
        """Return how long ago the oldest order without an outcome was decided; zero without one."""
        return max((at - each.created_at for each in self.unsettled), default=timedelta(0))


def exposure_to(asset: str, exposures: Iterable[OpenExposure]) -> float:
    """Sum the values of all exposures that have `asset` as base or quote."""
    return sum(each.value for each in exposures if asset in (each.pair.base, each.pair.quote))
