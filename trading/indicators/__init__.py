"""The features of closed candles: one definition for training, back-test, paper and live."""

from trading.indicators.companions import ALONE, Companions, Detour, companion_pairs, companions_of
from trading.indicators.feature import Family, Feature, GapRule
from trading.indicators.registry import (
    FEATURE_NAMES,
    FEATURE_SCHEMA,
    FEATURES,
    POLICY_FEATURES,
    lookback,
)
from trading.indicators.table import feature_table, live_row

__all__ = [
    "ALONE",
    "FEATURES",
    "FEATURE_NAMES",
    "FEATURE_SCHEMA",
    "POLICY_FEATURES",
    "Companions",
    "Detour",
    "Family",
    "Feature",
    "GapRule",
    "companion_pairs",
    "companions_of",
    "feature_table",
    "live_row",
    "lookback",
]
