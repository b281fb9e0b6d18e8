"""The features of closed candles: one definition for training, back-test, paper and live."""

from trading.indicators.registry import FEATURE_NAMES, FEATURES, Family, Feature
from trading.indicators.table import LOOKBACK, feature_table, live_row

__all__ = ["FEATURES", "FEATURE_NAMES", "LOOKBACK", "Family", "Feature", "feature_table", "live_row"]
