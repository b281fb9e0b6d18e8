"""The features of closed candles: one definition for training, back-test, paper and live."""

from trading.indicators.companions import (
    NO_COMPANIONS,
    Companions,
    TriangleCandles,
    companion_pairs,
    companions_of,
)
from trading.indicators.feature import Family, Feature, GapRule
from trading.indicators.registry import FEATURE_NAMES, FEATURE_SCHEMA, FEATURES, POLICY_FEATURES, lookback
from trading.indicators.table import feature_table, live_row

__all__ = [
    "FEATURES",
    "FEATURE_NAMES",
    "FEATURE_SCHEMA",
    "NO_COMPANIONS",
    "POLICY_FEATURES",
    "Companions",
    "Family",
    "Feature",
    "GapRule",
    "TriangleCandles",
    "companion_pairs",
    "companions_of",
    "feature_table",
    "live_row",
    "lookback",
]
