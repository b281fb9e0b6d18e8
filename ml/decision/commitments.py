"""What an account's positions and working orders are worth, and what they reserve of its balances."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from trading.errors import NotStored
from trading.fills import Costs
from trading.market import Pair
from trading.orders import OrderKind, Side, WorkingOrder
from trading.portfolio import Position, conversion_path, priced, rate

AT_THE_MARKET = (OrderKind.ENTRY, OrderKind.EXIT, OrderKind.CONVERSION)  # all but resting stops
MOVE_UNTIL_FILLED = 0.002  # between two candles; a larger gap is left to the venue to refuse


@dataclass(frozen=True, slots=True)
class OpenExposure:
    """A position, or an unfilled order that opens or grows one."""

    pair: Pair
    side: Side
    value: float  # equity currency, never negative


@dataclass(frozen=True, slots=True)
class Commitments:
    """Everything of one account at one moment's prices. An entry counts as filled as soon as it is committed."""

    quote: str  # the equity currency
    balances: Mapping[str, Decimal]
    positions: tuple[Position, ...]
    working: tuple[WorkingOrder, ...]  # orders without a final state
    prices: Mapping[Pair, Decimal]
    costs: Mapping[Pair, Costs]  # a pair that is not in here costs as much as the dearest

    def orders(self, *kinds: OrderKind) -> tuple[WorkingOrder, ...]:
        """Return the working orders of these kinds."""
        return tuple(each for each in self.working if each.intent.kind in kinds)

    def exposures(self) -> list[OpenExposure]:
        """List all exposures, gross: an order against a position makes neither smaller before it is filled.

        What no price joins with the equity currency has no value.
        """
        held = [(each.pair, each.quantity) for each in self.positions]
        entering = [
            (each.intent.pair, each.intent.side.sign * each.remaining)
            for each in self.orders(OrderKind.ENTRY)
        ]
        return [self._exposure(pair, quantity) for pair, quantity in (*held, *entering)]

    def _exposure(self, pair: Pair, quantity: Decimal) -> OpenExposure:
        try:
            value = float(abs(quantity) * rate(pair.base, self.quote, self.prices))
        except NotStored:
            value = 0.0
        return OpenExposure(pair, Side.BUY if quantity > 0 else Side.SELL, value)

    def free_balances(self, pair: Pair | None) -> dict[str, Decimal]:
        """Subtract from the balances what working orders will spend and other pairs' positions need to be closed.

        A stop must find its inventory; the inventory of `pair` itself is left to the order. None: of no pair.
        """
        free = dict(self.balances)
        for asset, amount in self._reservations(pair):
            free[asset] = max(free.get(asset, Decimal(0)) - amount, Decimal(0))
        return free

    def _reservations(self, pair: Pair | None) -> Iterator[tuple[str, Decimal]]:
        """Yield asset and amount; what a stop or an exit needs of a position is reserved for the position already."""
        held = {position.pair for position in self.positions} - {pair}
        for position in self.positions:
            if position.pair != pair:
                yield from self._spending(position.pair, -position.quantity)
        for order in self.orders(*AT_THE_MARKET):
            if not order.intent.reduces or order.intent.pair not in held:
                yield from self._spending(order.intent.pair, order.intent.side.sign * order.remaining)

    def _spending(self, pair: Pair, quantity: Decimal) -> Iterator[tuple[str, Decimal]]:
        """Yield asset and amount that buying (above zero) or selling this quantity takes; a price must be known."""
        if quantity < 0:
            yield pair.base, -quantity
        elif pair in self.prices:
            share = Decimal(repr(self._costs(pair).taker_fee)) + Decimal(repr(self.price_buffer(pair)))
            yield pair.quote, quantity * self.prices[pair] * (1 + share)

    def spendable_quote(self, pair: Pair, free: Mapping[str, Decimal]) -> Decimal:
        """Return the free quote balance less the price buffer of a purchase; risk itself counts the fee."""
        return free.get(pair.quote, Decimal(0)) / (1 + Decimal(repr(self.price_buffer(pair))))

    def price_buffer(self, pair: Pair) -> float:
        """Return the share that a market order may pay above the last close: spread, slippage, a small move."""
        costs = self._costs(pair)
        return costs.half_spread + costs.slippage + MOVE_UNTIL_FILLED

    def _costs(self, pair: Pair) -> Costs:
        dearest = max(self.costs.values(), key=lambda costs: costs.taker_fee)
        return self.costs.get(pair, dearest)

    def valuation_pairs(self, pair: Pair) -> set[Pair]:
        """Return the pairs whose prices value the balances, the positions, entries to come and an order in `pair`."""
        balances = {asset for asset, amount in self.balances.items() if amount}
        traded = {each.pair.base for each in self.positions} | {
            each.intent.pair.base for each in self.working
        }
        assets = dict.fromkeys(balances | traded | {pair.quote}, Decimal(1))
        return {
            step if (step := Pair(first, second)) in self.prices else Pair(second, first)
            for asset in priced(assets, self.quote, self.prices)[0]
            for first, second in pairwise(conversion_path(asset, self.quote, self.prices))
        }

    def oldest_unsettled_age(self, at: datetime) -> timedelta:
        """Return how long ago the oldest order was decided that should have an outcome by now; zero without one.

        A stop that rests has none for as long as its position is open. One that another pair's decision has committed
        since this run read its clock is as young as can be.
        """
        waiting = self.orders(*AT_THE_MARKET)
        return max((max(at - each.intent.created_at, timedelta(0)) for each in waiting), default=timedelta(0))


def exposure_to(asset: str, exposures: Iterable[OpenExposure]) -> float:
    """Sum the values of all exposures that have `asset` as base or quote."""
    return sum((each.value for each in exposures if asset in (each.pair.base, each.pair.quote)), 0.0)
