"""What an account's positions and unfilled orders are worth, and what they bind of its balances."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from trading.fills import Costs
from trading.market import Instrument, Pair
from trading.orders import OrderIntent, Side
from trading.portfolio import Position, conversion_path, rate

MOVE_UNTIL_FILLED = 0.002  # between two candles; a larger gap is the venue's to refuse


@dataclass(frozen=True, slots=True)
class Bet:
    """A position, or an order that is still to be filled and opens or grows one."""

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

    def bets(self) -> list[Bet]:
        """Gross: an order against a position does not make either smaller before it is filled."""
        return [
            *(self._bet(each.pair, each.quantity) for each in self.positions),
            *(
                self._bet(each.pair, each.side.sign * each.quantity)
                for each in self.unsettled
                if not each.reduces
            ),
        ]

    def _bet(self, pair: Pair, quantity: Decimal) -> Bet:
        value = float(abs(quantity) * rate(pair.base, self.quote, self.prices))
        return Bet(pair, Side.BUY if quantity > 0 else Side.SELL, value)

    def free(self, pair: Pair) -> dict[str, Decimal]:
        """Balances less what waiting orders will spend, and other pairs' positions need to be closed.

        A stop must find its inventory; that of `pair` itself is the order's own business.
        """
        free = dict(self.balances)
        for asset, amount in self._bound(pair):
            free[asset] = max(free.get(asset, Decimal(0)) - amount, Decimal(0))
        return free

    def _bound(self, pair: Pair) -> Iterator[tuple[str, Decimal]]:
        for position in self.positions:
            if position.pair != pair:
                yield self._spent(position.pair, -position.quantity)
        for intent in self.unsettled:
            yield self._spent(intent.pair, intent.side.sign * intent.quantity)

    def _spent(self, pair: Pair, quantity: Decimal) -> tuple[str, Decimal]:
        """Asset and amount that buying (above zero) or selling so much takes."""
        if quantity < 0:
            return pair.base, -quantity
        share = self.instruments[pair].taker_fee + Decimal(repr(self.concession(pair)))
        return pair.quote, quantity * self.prices[pair] * (1 + share)

    def valued_by(self, pair: Pair) -> set[Pair]:
        """The pairs whose prices value the balances, the positions, waiting orders, and an order in `pair`."""
        held = {asset for asset, amount in self.balances.items() if amount}
        traded = {each.pair.base for each in self.positions} | {each.pair.base for each in self.unsettled}
        return {
            step if (step := Pair(first, second)) in self.prices else Pair(second, first)
            for asset in held | traded | {pair.quote}
            for first, second in pairwise(conversion_path(asset, self.quote, self.prices))
        }

    def concession(self, pair: Pair) -> float:
        """What a market order may pay above the last close: spread, slippage, and a small move until it fills."""
        return self.costs[pair].half_spread + self.costs[pair].slippage + MOVE_UNTIL_FILLED

    def waiting(self, at: datetime) -> timedelta:
        """How long the oldest order without an outcome has waited; zero without one."""
        return max((at - each.created_at for each in self.unsettled), default=timedelta(0))


def exposure(bets: list[Bet], asset: str) -> float:
    """Value of all bets that have `asset` as base or quote."""
    return sum(bet.value for bet in bets if asset in (bet.pair.base, bet.pair.quote))
