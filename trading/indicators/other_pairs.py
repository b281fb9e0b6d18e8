"""Other pairs: how the pair moves with BTC, and what two others imply that it is worth."""

from functools import partial

import numpy as np

from trading.correlation import rolling_correlation
from trading.indicators.arithmetic import Array
from trading.indicators.companions import Companions, TriangleCandles, align
from trading.indicators.feature import Family, Feature, GapRule, after
from trading.indicators.price_arrays import PriceArrays

CORRELATION = 100  # log returns

_market = partial(Feature, family=Family.MARKET, gaps=GapRule.AS_OF, needs_companions=True)

FEATURES = (
    _market(
        "btc_correlation",
        unit="-1..1",
        warm_up=after(CORRELATION),
        formula="correlation of the last 100 log returns with those of the pair that prices BTC; 1 where there is "
        "no other pair that does, 0 where either is still",
        source="Pearson 1895",
    ),
    _market(
        "triangle_deviation",
        unit="log",
        warm_up=after(0),
        formula="ln(close / what the two other pairs of its triangle imply); 0 without a triangle",
        source="no-arbitrage cross rate",
    ),
    _market(
        "triangle_edge",
        unit="log",
        warm_up=after(0),
        formula="what fees and half spreads of all three trades leave of triangle_deviation, with its sign; "
        "0 where they eat it",
        source="no-arbitrage cross rate",
    ),
)


def compare_pairs(prices: PriceArrays, companions: Companions) -> dict[str, Array]:
    """Return the features of every row; NaN also where a companion is not known."""
    return {"btc_correlation": _btc_correlation(prices, companions), **_triangle(prices, companions.triangle)}


def _btc_correlation(prices: PriceArrays, companions: Companions) -> Array:
    if companions.reference is None:
        return np.ones(prices.size)
    reference = align(prices, companions.reference).close
    return rolling_correlation(prices.close, reference, CORRELATION)


def _triangle(prices: PriceArrays, detour: TriangleCandles | None) -> dict[str, Array]:
    if detour is None:
        return {"triangle_deviation": np.zeros(prices.size), "triangle_edge": np.zeros(prices.size)}
    triangle = detour.triangle
    deviation = triangle.deviation(
        {
            triangle.pair: prices.close / prices.scale,
            triangle.first.pair: align(prices, detour.first).close,
            triangle.second.pair: align(prices, detour.second).close,
        }
    )
    return {"triangle_deviation": deviation, "triangle_edge": triangle.edge(deviation, detour.costs)}
