"""Regime columns of the feature table: the judgement of `trading.regime` on each row."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import polars as pl

from trading.indicators import timeframes, trend, volatility
from trading.indicators.arithmetic import Array
from trading.indicators.feature import LEVEL, Family, Feature, GapRule, longest
from trading.regime import NEEDED, RegimeKind

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


def label(weights: Array) -> pl.Series:
    """Return (n,) the regime with the largest of `weights` (5, n), which are in the order of RegimeKind.

    The first among equals; null where they are NaN.
    """
    largest = weights.max(axis=0)
    # Rows before the first that holds the largest: all of them for NaN.
    row = np.zeros(largest.size, np.uint32)
    for weight in weights[::-1]:
        row = (weight != largest) * (row + 1)
    return _LABELS.gather(row).alias(LABEL)


def newest_label(row: Mapping[str, float | None]) -> str | None:
    """Return what `label` says of one row of features."""
    weights = [row.get(kind.column) for kind in RegimeKind]
    known = [weight for weight in weights if weight is not None]
    return list(RegimeKind)[weights.index(max(known))].value if len(known) == len(weights) else None
