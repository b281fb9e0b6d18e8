"""Every feature in the order of its column, and what follows from them together."""

from functools import cache

import polars as pl

from trading.indicators import momentum, other_pairs, patterns, regimes, timeframes, trend, volatility, volume
from trading.indicators.feature import Feature
from trading.market import TIME, Timeframe
from trading.regime import RegimeKind

FEATURES: tuple[Feature, ...] = (
    *trend.FEATURES,
    *timeframes.FEATURES,
    *momentum.FEATURES,
    *volatility.FEATURES,
    *volume.FEATURES,
    *patterns.FEATURES,
    *other_pairs.FEATURES,
    *regimes.FEATURES,
)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
# What a policy observes: finite after the warm-up from the pair's own candles alone.
POLICY_FEATURES: tuple[str, ...] = tuple(feature.name for feature in FEATURES if not feature.needs_companions)
_FIRST_WEIGHT = FEATURE_NAMES.index(next(iter(RegimeKind)).column)
# Their rows, in the order of RegimeKind.
REGIME_WEIGHTS = slice(_FIRST_WEIGHT, _FIRST_WEIGHT + len(RegimeKind))
FEATURE_SCHEMA = pl.Schema(
    {
        "open_time": TIME,
        "close_time": TIME,
        "known_at": TIME,
        **dict.fromkeys(FEATURE_NAMES, pl.Float64()),
        regimes.LABEL: pl.String(),
    }
)

# Candles that make recursive averages independent of where history starts, to 1e-9. The slowest is EMA 50:
# (49/51)^n is below 1e-12 from n = 691 on; 1000 leave room for a start at a hundred times the price.
MEMORY = 1000
# Candles of the longest window that is not measured by the clock: on daily candles none of those is longer.
WINDOW = 1 + max(feature.warm_up_for(Timeframe.D1) for feature in FEATURES)


@cache
def lookback(timeframe: Timeframe) -> int:
    """Return how many candles before the first wanted row make its features what all of history would make them."""
    return max(MEMORY, slowest(timeframe).warm_up_for(timeframe))


@cache
def slowest(timeframe: Timeframe) -> Feature:
    """Return the feature with the longest warm-up."""
    return max(FEATURES, key=lambda feature: feature.warm_up_for(timeframe))
