import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.metrics import (
    TrackRecord,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    independent_trials,
    minimum_track_record,
    probabilistic_sharpe_ratio,
)

# Bailey and Lopez de Prado (2014), "A numerical example": five years of days, 250 a year, 2.5 annualised.
PICKED = TrackRecord(sharpe=2.5 / math.sqrt(250), periods=1250, skewness=-3.0, kurtosis=10.0)
VARIANCE = 0.5 / 250  # of the trials' annualised Sharpe ratios: 1/2
RECORDS = st.builds(
    lambda sharpe, periods, skewness, excess: TrackRecord(
        sharpe, periods, skewness, 1 + skewness**2 + excess
    ),
    st.floats(-0.5, 0.5),
    st.integers(2, 5_000),
    st.floats(-3, 3),
    st.floats(0.1, 10),
)


def yearly(sharpe: float, per_year: int, skewness: float = 0.0, kurtosis: float = 3.0) -> TrackRecord:
    return TrackRecord(sharpe / math.sqrt(per_year), 2, skewness, kurtosis)


def test_published_example_of_the_deflated_sharpe_ratio() -> None:
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(PICKED, 100, VARIANCE) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe_ratio(PICKED, 46, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_published_example_of_the_deflated_sharpe_ratio_of_normal_returns() -> None:
    normal = TrackRecord(PICKED.sharpe, PICKED.periods, 0.0, 3.0)
    assert deflated_sharpe_ratio(normal, 88, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_published_example_of_the_probabilistic_sharpe_ratio() -> None:
    """Bailey and Lopez de Prado (2012), two years of a hedge fund's months."""
    assert probabilistic_sharpe_ratio(TrackRecord(0.458, 24, 0.0, 3.0)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe_ratio(TrackRecord(0.458, 24, -2.448, 10.164)) == pytest.approx(
        0.913, abs=5e-4
    )


@pytest.mark.parametrize(
    ("record", "per_year", "years"),
    [(yearly(2, 252), 252, 2.73), (yearly(2, 12), 12, 3.24), (yearly(2, 12, -0.72, 5.78), 12, 4.99)],
)
def test_published_examples_of_the_minimum_track_record(
    record: TrackRecord, per_year: int, years: float
) -> None:
    periods = minimum_track_record(record, 1 / math.sqrt(per_year), 0.95)
    assert periods is not None
    assert periods / per_year == pytest.approx(years, abs=5e-3)


def test_the_expected_best_of_trials_without_skill_is_what_a_simulation_reaches() -> None:
    best = np.random.default_rng(0).normal(0, 0.3, (20_000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(50, 0.09) == pytest.approx(best, rel=0.02)


def test_noise_reaches_a_probability_of_skill_as_often_as_it_may() -> None:
    random = np.random.default_rng(1)
    records = [TrackRecord.of(random.normal(0, 0.01, 300)) for _ in range(1_000)]
    skilled = [probabilistic_sharpe_ratio(record) > 0.9 for record in records if record]
    assert np.mean(skilled) == pytest.approx(0.1, abs=0.03)


def test_the_best_of_many_noises_is_deflated_to_no_skill() -> None:
    returns = np.random.default_rng(2).normal(0, 0.01, (1_000, 500))
    sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    best = TrackRecord.of(returns[:, sharpes.argmax()])
    assert best is not None
    assert probabilistic_sharpe_ratio(best) > 0.99
    assert deflated_sharpe_ratio(best, 500, float(sharpes.var(ddof=1))) < 0.8


def test_moments_of_returns_are_those_of_the_sample() -> None:
    record = TrackRecord.of([0.1, 0.2, 0.0, 0.1])
    assert record is not None
    assert record.sharpe == pytest.approx(0.1 / math.sqrt(0.02 / 3))
    assert record.skewness == pytest.approx(0.0)
    assert record.kurtosis == pytest.approx(2.0)
    assert record.periods == 4


def test_returns_that_do_not_vary_are_no_track_record() -> None:
    for returns in ([], [0.1], [0.1] * 9):
        assert TrackRecord.of(returns) is None


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe_ratio(PICKED, 1, VARIANCE) == probabilistic_sharpe_ratio(PICKED)


@given(RECORDS, st.floats(-0.2, 0.2), st.floats(0.01, 0.2))
@settings(deadline=None, max_examples=100)
def test_a_higher_benchmark_is_exceeded_with_less_probability(
    record: TrackRecord, benchmark: float, step: float
) -> None:
    assert probabilistic_sharpe_ratio(record, benchmark + step) <= probabilistic_sharpe_ratio(
        record, benchmark
    )


@given(st.floats(-0.5, 0.4), st.floats(0.01, 0.1), st.integers(2, 2_000))
@settings(deadline=None, max_examples=100)
def test_of_normal_returns_a_higher_sharpe_ratio_is_more_probably_skill(
    sharpe: float, step: float, periods: int
) -> None:
    lower, higher = (TrackRecord(each, periods, 0.0, 3.0) for each in (sharpe, sharpe + step))
    assert probabilistic_sharpe_ratio(higher) >= probabilistic_sharpe_ratio(lower)


@given(RECORDS, st.integers(1, 1_000))
@settings(deadline=None, max_examples=100)
def test_a_longer_record_makes_what_was_found_more_certain(record: TrackRecord, more: int) -> None:
    longer = TrackRecord(record.sharpe, record.periods + more, record.skewness, record.kurtosis)
    before, after = probabilistic_sharpe_ratio(record), probabilistic_sharpe_ratio(longer)
    assert abs(after - 0.5) >= abs(before - 0.5)


@given(st.integers(1, 5_000), st.integers(1, 1_000), st.floats(0, 1))
@settings(deadline=None, max_examples=100)
def test_more_trials_reach_more_by_luck(trials: int, more: int, variance: float) -> None:
    assert expected_maximum_sharpe(trials + more, variance) >= expected_maximum_sharpe(trials, variance) >= 0


@given(RECORDS, st.floats(0.55, 0.99))
@settings(deadline=None, max_examples=100)
def test_a_record_of_minimum_length_reaches_the_confidence(record: TrackRecord, confidence: float) -> None:
    periods = minimum_track_record(record, 0.0, confidence)
    if periods is None:
        assert record.sharpe < 1e-150
    elif periods < 1e6:
        enough = TrackRecord(record.sharpe, max(2, math.ceil(periods)), record.skewness, record.kurtosis)
        assert probabilistic_sharpe_ratio(enough) >= confidence - 1e-9


def test_a_record_without_any_error_is_certain() -> None:
    """Two outcomes 0.5 apart from each other with a Sharpe ratio at which the error of the ratio vanishes."""
    sure = TrackRecord(sharpe=2.0, periods=9, skewness=1.0, kurtosis=2.0)
    assert sure.error_scale == 0.0
    assert [probabilistic_sharpe_ratio(sure, benchmark) for benchmark in (1.9, 2.0, 2.1)] == [1.0, 0.5, 0.0]


def test_trials_that_resemble_each_other_count_for_fewer() -> None:
    assert independent_trials(100, 0.0) == 100
    assert independent_trials(100, 0.5) == pytest.approx(50.5)
    assert independent_trials(100, 1.0) == 1


@pytest.mark.parametrize(
    "values", [(math.nan, 10, 0.0, 3.0), (0.1, 1, 0.0, 3.0), (0.1, 10, math.inf, 3.0), (0.1, 10, 2.0, 3.0)]
)
def test_a_record_that_cannot_be_is_refused(values: tuple[float, int, float, float]) -> None:
    with pytest.raises(InvalidValue):
        TrackRecord(*values)


@pytest.mark.parametrize(
    ("trials", "variance"), [(0, 1.0), (math.nan, 1.0), (10, -1.0), (10, math.nan), (math.inf, 1.0)]
)
def test_impossible_trials_are_refused(trials: float, variance: float) -> None:
    with pytest.raises(InvalidValue):
        expected_maximum_sharpe(trials, variance)


def test_questions_without_an_answer_are_refused() -> None:
    with pytest.raises(InvalidValue, match="benchmark"):
        probabilistic_sharpe_ratio(PICKED, math.nan)
    with pytest.raises(InvalidValue, match="confidence"):
        minimum_track_record(PICKED, 0.0, 0.5)
    with pytest.raises(InvalidValue, match="correlate"):
        independent_trials(10, 1.5)
