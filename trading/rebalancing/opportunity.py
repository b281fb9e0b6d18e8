"""Rounds through three pairs: which one earns most after every cost, and prices that cannot all be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from trading.market import Pair
from trading.rebalancing.conversion import DOWNWARDS, Conversion, Market, Refusal, conversion
from trading.rebalancing.portfolio import Holding
from trading.rebalancing.rules import RebalancingRules
from trading.triangle import LegCost, Triangle, triangles


@dataclass(frozen=True, slots=True)
class Opportunity:
    start: Holding
    path: str
    conversion: Conversion
    gain: Decimal  # share of what is sent round, after rounding and every cost


def best_opportunity(parts: Sequence[Holding], market: Market, rules: RebalancingRules) -> Opportunity | None:
    """The round that gains the largest share, at least `rules.opportunity` of it; None without one.

    It starts in the triangle's asset with the largest free value and sends `opportunity_share` of that round.
    """
    with localcontext(DOWNWARDS):
        found = [_opportunity(triangle, parts, market, rules) for triangle in triangles(market.prices)]
        worth = [each for each in found if each and each.gain >= rules.opportunity]
        return max(worth, key=lambda each: each.gain, default=None)


def disagreement(market: Market, limit: Decimal) -> str | None:
    """The first triangle whose prices are further apart than `limit`, in words."""
    for triangle in triangles(market.prices):
        deviation = triangle.deviation(_floats(market))
        if not abs(deviation) <= limit:
            pairs = ", ".join(map(str, triangle.pairs))
            return f"the prices of {pairs} are {100 * abs(deviation):.1f} % apart: one is stale or wrong"
    return None


def _opportunity(
    triangle: Triangle, parts: Sequence[Holding], market: Market, rules: RebalancingRules
) -> Opportunity | None:
    assets = {asset for pair in triangle.pairs for asset in (pair.base, pair.quote)}
    start = max(
        (part for part in parts if part.asset in assets),
        key=lambda part: part.free * part.price,
        default=None,
    )
    if start is None or not start.free:
        return None
    trip = triangle.round(_floats(market), _costs(market), start.asset)
    amount = start.free * rules.opportunity_share
    if trip is None or amount * start.price < rules.minimum_value:
        return None
    done = conversion([trade.pair for trade in trip.trades], start.asset, amount, market)
    return None if isinstance(done, Refusal) else Opportunity(start, trip.path, done, done.yields - 1)


def _floats(market: Market) -> dict[Pair, float]:
    return {pair: float(price) for pair, price in market.prices.items()}


def _costs(market: Market) -> dict[Pair, LegCost]:
    concession = float(market.concession)
    return {pair: LegCost(float(market.instruments[pair].taker_fee), concession) for pair in market.prices}
