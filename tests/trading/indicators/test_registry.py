"""The registry is what documentation, schema, look-back and policies are made from."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from trading.indicators import (
    FEATURE_NAMES,
    FEATURE_SCHEMA,
    FEATURES,
    POLICY_FEATURES,
    Family,
    Feature,
    GapRule,
    lookback,
)
from trading.indicators.document import document
from trading.market import Timeframe
from trading.signals import USED

PAGE = Path(__file__).parents[3] / "docs/features.md"


def test_the_page_is_what_the_registry_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == document()


def test_the_page_names_every_feature_unit_formula_source_and_rule() -> None:
    page = document()
    for feature in FEATURES:
        assert all(
            text in page for text in (f"`{feature.name}`", feature.unit, feature.formula, feature.source)
        )
    assert all(rule.value in page for rule in GapRule)


def test_every_family_and_every_rule_for_gaps_is_used() -> None:
    assert {feature.family for feature in FEATURES} == set(Family)
    assert {feature.gaps for feature in FEATURES} == set(GapRule)


def test_the_schema_has_a_column_for_every_feature_between_times_and_regime() -> None:
    assert FEATURE_SCHEMA.names() == ["open_time", "close_time", "known_at", *FEATURE_NAMES, "regime"]


def test_a_policy_observes_all_but_what_needs_other_pairs() -> None:
    assert set(FEATURE_NAMES) - set(POLICY_FEATURES) == {
        "btc_correlation", "triangle_deviation", "triangle_edge",
    }  # fmt: skip


def test_signals_use_what_a_policy_observes() -> None:
    assert set(USED) <= set(POLICY_FEATURES)


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURE_NAMES)
def test_a_look_back_covers_every_warm_up(feature: Feature) -> None:
    for timeframe in Timeframe:
        assert 0 <= feature.warm_up_for(timeframe) <= lookback(timeframe)


def test_finer_candles_take_a_longer_look_back() -> None:
    assert [lookback(timeframe) for timeframe in (Timeframe.M1, Timeframe.H1)] == [15_839, 1_000]
    assert all(lookback(fine) >= lookback(coarse) for fine, coarse in pairwise(Timeframe))


def test_naming_features_does_not_load_the_compiler() -> None:
    code = "import sys, trading.indicators; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_is_printed_by_the_command_that_it_names() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "trading.indicators"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == document()
