"""Regime columns of the feature table: the judgement of `trading.regime` on each row."""

from collections.abc import Mapping
from functools import partial

import polars as pl

from trading.indicators import kernels, timeframes, trend, volatility
from trading.indicators.arithmetic import Array
from trading.indicators.feature import LEVEL, Family, Feature, GapRule, longest
from trading.regime import NEEDED, RegimeKind, regime_columns, regime_numbers

_INPUTS = [
    feature
    for module in (trend, volatility, timeframes)
    for feature in module.FEATURES
    if feature.name in NEEDED
]
_regime = partial(
    Feature,
    family=Family.REGIME,
    warm_up=longest(*(feature.warm_up for feature in _INPUTS)),
    source="trading/regime.py, where the formulas stand",
    gaps=GapRule.SAME_ROW,
)

FEATURES = (
    _regime(
        "regime_score",
        unit="-1..1",
        formula="trend strength and side, less up to half of it as volatility rises: 1 trending up, -1 down",
    ),
    *(
        _regime(
            kind.column,
            unit=LEVEL,
            formula=f"weight of the regime {kind.value}; the five sum to 1",
        )
        for kind in RegimeKind
    ),
)
LABEL = "regime"
_LABELS = pl.Series([*(kind.value for kind in RegimeKind), None], dtype=pl.String)


def compute(values: Mapping[str, Array]) -> dict[str, Array]:
    """From the features of the same rows. Unknown correlation with BTC leaves it out; it is never in the way."""
    return regime_columns(values)


def newest(row: Mapping[str, float]) -> dict[str, float]:
    """Of one row."""
    return regime_numbers(row)


def label(weights: Array) -> pl.Series:
    """(n,) the regime with the largest of `weights` (5, n), in the order of RegimeKind and the first among equals.

    Null where they are NaN.
    """
    return _LABELS.gather(kernels.largest_row(weights)).alias(LABEL)
