"""Which record counts for a vote, and which version at a time."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.agents.vote_weights import ANY_MODEL, VoteWeights, WeightVersions, weights_of_rows
from tests.doubles.stores import MemoryWeights
from tests.ml.agents.records import KNOWN_AT, record, weights
from trading.market import TIME

HOUR = timedelta(hours=1)
BOTH = weights(
    record("technical", 2.0, regime="quiet"), record("technical", 0.5), record("quant", 0.0, ANY_MODEL)
)


@pytest.mark.parametrize(("regime", "weight"), [("quiet", 2.0), ("volatile", 0.5), (None, 0.5)])
def test_the_record_of_the_regime_goes_before_that_of_all(regime: str | None, weight: float) -> None:
    found = BOTH.of("technical", "model", regime)
    assert found is not None
    assert found.weight == weight
    assert BOTH.while_in(regime).of("technical", "model", regime) == found


def test_a_record_that_is_too_short_says_nothing() -> None:
    short = weights(record("technical", 2.0, regime="quiet", windows=99), record("technical", 0.5))
    assert short.of("technical", "model", "quiet") == short.weights[1]
    assert weights(record("technical", 0.5, windows=99)).of("technical", "model", None) is None


def test_another_model_of_an_agent_has_no_record_but_every_policy_has_that_of_the_quant() -> None:
    assert BOTH.of("technical", "another", "quiet") is None
    assert BOTH.of("quant", "any-policy", "quiet") == BOTH.weights[2]


def test_a_version_reads_back_as_it_was_and_any_change_gives_it_another_name() -> None:
    log = MemoryWeights()
    made = WeightVersions(log).record(BOTH)
    assert replace(made, version="") == BOTH
    assert VoteWeights.parse(made.content()) == made
    changed = replace(BOTH, weights=(replace(BOTH.weights[0], brier=0.2400001), *BOTH.weights[1:]))
    assert VoteWeights.parse(changed.content()).version != made.version


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0.0, 0.5, 2.0])), max_size=6),
    st.lists(
        st.tuples(st.sampled_from(["model", "b", None]), st.sampled_from(["quiet", "volatile", None])),
        min_size=21,
        max_size=21,
    ),
)
def test_a_history_is_weighed_as_each_of_its_candles_is_alone(
    made: list[tuple[int, float]], rows: list[tuple[str | None, str | None]]
) -> None:
    versions = WeightVersions(MemoryWeights())
    for hours, weight in sorted(made, key=lambda each: each[0]):
        records = record("analyst", weight, regime="quiet"), record("analyst", 1.5)
        versions.record(weights(*records, known_at=KNOWN_AT + hours * HOUR))
    times = pl.Series([KNOWN_AT + hours * HOUR for hours in range(21)], dtype=TIME)
    models, regimes = (pl.Series([row[place] for row in rows], dtype=pl.String) for place in (0, 1))
    found = weights_of_rows(versions.runs(times), "analyst", models, regimes)
    alone = []
    for at, (model, regime) in zip(times, rows, strict=True):
        version = versions.at(at)
        counts = version and version.of("analyst", str(model), regime)
        alone.append(counts.weight if counts else 1.0)
    assert np.array_equal(found, alone)
