"""Three pairs among three assets: what two prices imply for the third, and what is left of the difference.

A pair's price is implied by a detour through the third asset:

    implied   = base in third x third in quote         a pair that is quoted the other way round enters inverted
    deviation = ln(own / implied)                      above zero: the pair is dear, the detour cheap

Earning it takes three trades, one round through the assets. A deviation above zero sells the pair and buys
base back through the detour, one below zero runs the other way. A sale yields price (1 - half spread)(1 - fee)
and a purchase costs price (1 + half spread)(1 + fee), so one unit sent round comes back as

    exp(abs(deviation)) x prod over sales (1 - h)(1 - f) / prod over purchases (1 + h)(1 + f)

and with `cost` = minus the logarithm of the two products, edge = sign(deviation) max(abs(deviation) - cost, 0)
and the gain share of the round is exp(abs(edge)) - 1, exactly.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Side

Array = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Array)


@dataclass(frozen=True, slots=True)
class LegCost:
    """The cost of a market order on one pair, as shares of the price; slippage adds to the half spread."""

    taker_fee: float
    half_spread: float

    def __post_init__(self) -> None:
        for name in ("taker_fee", "half_spread"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is from 0 to below 1")

    def log_loss(self, side: Side) -> float:
        """Return the lost logarithm of value; a purchase loses a little less than a sale."""
        sign = side.sign
        return sign * (math.log1p(sign * self.half_spread) + math.log1p(sign * self.taker_fee))


@dataclass(frozen=True, slots=True)
class Leg:
    """A pair on the detour; inverted when it is quoted the other way round."""

    pair: Pair
    inverted: bool


@dataclass(frozen=True, slots=True)
class TriangleTrade:
    """One market order of a round: gives `source`, takes `target`."""

    pair: Pair
    side: Side
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Round:
    """Three trades that end in the asset they start from, with more of it."""

    trades: tuple[TriangleTrade, TriangleTrade, TriangleTrade]
    gain: float  # share of what is sent round, after every cost

    @property
    def path(self) -> str:
        return " -> ".join([self.trades[0].source, *(trade.target for trade in self.trades)])

    def __str__(self) -> str:
        return f"{self.path} gains {100 * self.gain:.3f} %"


@dataclass(frozen=True, slots=True)
class Triangle:
    """`pair` and its detour. Prices and deviations are floats or (n,) arrays, NaN where a price is unknown."""

    pair: Pair
    first: Leg  # prices the pair's base in the third asset
    second: Leg  # prices the third asset in the pair's quote

    @property
    def third(self) -> str:
        leg = self.first
        return leg.pair.base if leg.inverted else leg.pair.quote

    @property
    def pairs(self) -> tuple[Pair, Pair, Pair]:
        return (self.pair, self.first.pair, self.second.pair)

    def implied(self, prices: Mapping[Pair, Number]) -> Number:
        """Return what the detour implies that the pair is worth; NotStored names a pair without a price."""
        return _leg_price(prices, self.first) * _leg_price(prices, self.second)

    def deviation(self, prices: Mapping[Pair, Number]) -> Number:
        """Return ln(own / implied)."""
        result: Number = np.log(_price(prices, self.pair) / self.implied(prices))
        return result

    def edge(self, deviation: Number, costs: Mapping[Pair, LegCost]) -> Number:
        """Return what the costs of all three legs leave of a deviation, with its sign; 0 where they exceed it."""
        dear, cheap = (self._cost(sign, costs) for sign in (1, -1))
        left: Number = np.maximum(deviation - dear, 0.0) - np.maximum(-deviation - cheap, 0.0)
        return left

    def round(self, prices: Mapping[Pair, float], costs: Mapping[Pair, LegCost], start: str) -> Round | None:
        """Return the three trades that earn the edge, beginning with the asset `start`; None when there is no edge."""
        edge = float(self.edge(self.deviation(prices), costs))
        if edge == 0 or math.isnan(edge):
            return None
        trades = self._trades(1 if edge > 0 else -1)
        sources = [trade.source for trade in trades]
        if start not in sources:
            raise InvalidValue(f"a round through {', '.join(sources)} cannot start with {start}")
        first, second, third = (trades[(sources.index(start) + step) % 3] for step in range(3))
        return Round((first, second, third), math.expm1(abs(edge)))

    def _cost(self, sign: int, costs: Mapping[Pair, LegCost]) -> float:
        if missing := [pair for pair in self.pairs if pair not in costs]:
            raise NotStored(
                f"no costs for {', '.join(map(str, missing))}: give fee and half spread of every leg"
            )
        return sum(costs[trade.pair].log_loss(trade.side) for trade in self._trades(sign))

    def _trades(self, sign: int) -> tuple[TriangleTrade, TriangleTrade, TriangleTrade]:
        """Return the round for a deviation of this sign, beginning with base: a dear pair is sold first."""
        base, quote, third = self.pair.base, self.pair.quote, self.third
        if sign > 0:
            return (
                _leg_trade(self.pair, base, quote),
                _leg_trade(self.second.pair, quote, third),
                _leg_trade(self.first.pair, third, base),
            )
        return (
            _leg_trade(self.first.pair, base, third),
            _leg_trade(self.second.pair, third, quote),
            _leg_trade(self.pair, quote, base),
        )


def triangle_of(pair: Pair, pairs: Collection[Pair]) -> Triangle | None:
    """Find the first detour of a pair in the order of `pairs`, whichever way round its legs are quoted.

    None when no third asset is joined to both sides. `pair` itself need not be among `pairs`.
    """
    for first in pairs:
        if pair.base not in (first.base, first.quote) or pair.quote in (first.base, first.quote):
            continue
        third = first.quote if first.base == pair.base else first.base
        for second in pairs:
            if {second.base, second.quote} == {third, pair.quote}:
                return Triangle(pair, Leg(first, first.base == third), Leg(second, second.quote == third))
    return None


def triangles(pairs: Collection[Pair]) -> list[Triangle]:
    """List each three of the pairs that join three assets, once, seen from the first of them."""
    found = (triangle_of(first, others) for first, *others in combinations(pairs, 3))
    return [triangle for triangle in found if triangle is not None]


def _leg_trade(pair: Pair, source: str, target: str) -> TriangleTrade:
    return TriangleTrade(pair, Side.SELL if source == pair.base else Side.BUY, source, target)


def _leg_price(prices: Mapping[Pair, Number], leg: Leg) -> Number:
    price = _price(prices, leg.pair)
    return 1.0 / price if leg.inverted else price


def _price(prices: Mapping[Pair, Number], pair: Pair) -> Number:
    if pair not in prices:
        raise NotStored(f"no price of {pair}: known pairs are {', '.join(map(str, prices)) or 'none'}")
    price = prices[pair]
    if np.any(np.less_equal(price, 0) | np.isinf(price)):
        raise InvalidValue(f"a price of {pair} is not above zero and finite: leave unknown prices NaN")
    return price
