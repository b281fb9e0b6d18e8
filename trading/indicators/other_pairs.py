"""Neighbours: how the pair moves with BTC, and what two other pairs say that it is worth."""

from functools import partial

import numpy as np

from trading.correlation import rolling_correlation
from trading.indicators.arithmetic import Array
from trading.indicators.companions import Companions, Detour, beside
from trading.indicators.feature import Family, Feature, GapRule, after
from trading.indicators.price_arrays import Bars

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


def compute(bars: Bars, companions: Companions) -> dict[str, Array]:
    """NaN also where a companion is not known."""
    return {"btc_correlation": _correlation(bars, companions), **_triangle(bars, companions.triangle)}


def _correlation(bars: Bars, companions: Companions) -> Array:
    if companions.reference is None:
        return np.ones(bars.size)
    return rolling_correlation(bars.close, beside(bars, companions.reference).close, CORRELATION)


def _triangle(bars: Bars, detour: Detour | None) -> dict[str, Array]:
    if detour is None:
        return {"triangle_deviation": np.zeros(bars.size), "triangle_edge": np.zeros(bars.size)}
    triangle = detour.triangle
    prices = {
        triangle.pair: bars.close / bars.scale,
        triangle.first.pair: beside(bars, detour.first).close,
        triangle.second.pair: beside(bars, detour.second).close,
    }
    deviation = triangle.deviation(prices)
    return {"triangle_deviation": deviation, "triangle_edge": triangle.edge(deviation, detour.costs)}
