"""Rounds through three pairs: the one that gains the most after every cost, and prices that cannot all be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import isnan

from trading.market import Pair
from trading.rebalancing.conversion import (
    ROUND_DOWN_CONTEXT,
    Conversion,
    MarketConditions,
    NoConversion,
    convert_along,
)
from trading.rebalancing.portfolio import AssetAllocation
from trading.rebalancing.rules import RebalancingRules
from trading.triangle import LegCost, Triangle, triangles


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A round that gains after every cost."""

    start: AssetAllocation
    path: str
    conversion: Conversion
    gain: Decimal  # share of what is sent round, after rounding and every cost


def best_opportunity(
    allocations: Sequence[AssetAllocation], market: MarketConditions, rules: RebalancingRules
) -> Opportunity | None:
    """Return the round that gains the largest share, at least `rules.opportunity` of it; None without one.

    It starts in the triangle's asset with the largest free value and sends `opportunity_share` of that round.
    """
    with localcontext(ROUND_DOWN_CONTEXT):
        rounds = [_round_from(triangle, allocations, market, rules) for triangle in triangles(market.prices)]
        gainful = [each for each in rounds if each and each.gain >= rules.opportunity]
        return max(gainful, key=lambda each: each.gain, default=None)


def price_disagreement(market: MarketConditions, limit: Decimal) -> str | None:
    """Describe the first triangle whose prices are further apart than `limit`; None without one."""
    for triangle in triangles(market.prices):
        deviation = triangle.deviation(_float_prices(market))
        if isnan(deviation) or abs(deviation) > limit:
            pairs = ", ".join(map(str, triangle.pairs))
            return f"the prices of {pairs} are {100 * abs(deviation):.1f} % apart: one is stale or wrong"
    return None


def _round_from(
    triangle: Triangle,
    allocations: Sequence[AssetAllocation],
    market: MarketConditions,
    rules: RebalancingRules,
) -> Opportunity | None:
    assets = {asset for pair in triangle.pairs for asset in (pair.base, pair.quote)}
    start = max(
        (each for each in allocations if each.asset in assets),
        key=lambda each: each.free * each.price,
        default=None,
    )
    if start is None or not start.free:
        return None
    cycle = triangle.round(_float_prices(market), _leg_costs(market), start.asset)
    amount = start.free * rules.opportunity_share
    if cycle is None or amount * start.price < rules.minimum_value:
        return None
    converted = convert_along([trade.pair for trade in cycle.trades], start.asset, amount, market)
    if isinstance(converted, NoConversion):
        return None
    return Opportunity(start, cycle.path, converted, gain=converted.yields - 1)


def _float_prices(market: MarketConditions) -> dict[Pair, float]:
    return {pair: float(price) for pair, price in market.prices.items()}


def _leg_costs(market: MarketConditions) -> dict[Pair, LegCost]:
    price_buffer = float(market.price_buffer)
    return {pair: LegCost(float(market.instruments[pair].taker_fee), price_buffer) for pair in market.prices}
