import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.metrics import block_length_of, bootstrap, percentile_interval
from trading.metrics.bootstrap import BATCH, optimal_block_length

Array = npt.NDArray[np.float64]


def mean(rows: Array) -> dict[str, Array]:
    return {"mean": rows.mean(axis=1)}


def autoregressive(random: np.random.Generator, count: int, memory: float) -> Array:
    """Each value is `memory` times the one before plus noise."""
    values = random.normal(size=count)
    values[0] /= math.sqrt(1 - memory**2)
    for row in range(1, count):
        values[row] += memory * values[row - 1]
    return values


def coverage(block_length: int | None) -> float:
    """How often a 90 % interval of the mean holds the true one, zero, when values remember the one before."""
    random = np.random.default_rng(11)
    hits = 0
    for seed in range(200):
        series = autoregressive(random, 400, 0.4)
        drawn = bootstrap(series, mean, resamples=200, seed=seed, block_length=block_length)["mean"]
        interval = percentile_interval(drawn, 0.9)
        assert interval is not None
        hits += interval.low <= 0.0 <= interval.high
    return hits / 200


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    assert 0.83 <= coverage(None) <= 0.95


def test_without_blocks_an_interval_of_dependent_values_is_too_narrow() -> None:
    assert coverage(1) < 0.8


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    series = np.random.default_rng(1).normal(size=50)
    first, again, other = (bootstrap(series, mean, resamples=20, seed=seed)["mean"] for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@given(st.integers(2, 40), st.data())
@settings(deadline=None, max_examples=50)
def test_a_resample_is_made_of_whole_blocks_that_wrap_around(count: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, count))
    rows: list[Array] = []

    def keep(resamples: Array) -> dict[str, Array]:
        rows.append(resamples)
        return mean(resamples)

    bootstrap(np.arange(count, dtype=float), keep, resamples=3, seed=0, block_length=length)
    for row in rows[0]:
        inside = np.arange(1, count) % length != 0
        assert row.shape == (count,)
        assert (((row[1:] - row[:-1]) % count == 1) | ~inside).all()


def test_every_value_is_drawn_equally_often() -> None:
    counts = np.zeros(10)

    def count(rows: Array) -> dict[str, Array]:
        counts[:] += np.bincount(rows.astype(int).ravel(), minlength=10)
        return mean(rows)

    bootstrap(np.arange(10.0), count, resamples=20_000, seed=5, block_length=4)
    assert counts / 20_000 == pytest.approx(np.ones(10), abs=0.03)


def test_memory_stays_bounded_however_many_resamples_are_drawn() -> None:
    sizes: list[int] = []

    def size(rows: Array) -> dict[str, Array]:
        sizes.append(rows.size)
        return mean(rows)

    drawn = bootstrap(np.arange(300_000.0), size, resamples=10, seed=0)["mean"]
    assert drawn.shape == (10,)
    assert max(sizes) <= BATCH


def test_values_without_memory_are_drawn_one_by_one() -> None:
    lengths = [optimal_block_length(np.random.default_rng(seed).normal(size=2_000)) for seed in range(20)]
    assert np.median(lengths) <= 4
    assert optimal_block_length(np.ones(100)) == 1
    assert optimal_block_length(np.arange(5.0)) == 1


def test_the_block_length_of_an_autoregression_is_the_one_that_theory_gives() -> None:
    """(6 m^2 / (1 - m^2)^2)^(1/3) n^(1/3) for memory m: formula 2 G^2 / D in closed form."""
    memory, count = 0.5, 8_000
    best = (6 * memory**2 / (1 - memory**2) ** 2 * count) ** (1 / 3)
    random = np.random.default_rng(3)
    lengths = [optimal_block_length(autoregressive(random, count, memory)) for _ in range(10)]
    assert np.median(lengths) == pytest.approx(best, rel=0.2)


def slow_block_length(values: Array) -> int:
    """Politis and White (2004), section 3.2, in loops; constants of the authors' own program."""
    count, centred = len(values), values - values.mean()
    run = max(5, math.ceil(math.sqrt(math.log10(count))))
    longest = math.ceil(math.sqrt(count)) + run

    def covariance(lag: int) -> float:
        return sum(centred[row] * centred[row + lag] for row in range(count - lag)) / count

    known = [covariance(lag) for lag in range(longest + 1)]
    limit = 2 * math.sqrt(math.log10(count) / count)
    quiet = [abs(each / known[0]) < limit for each in known]
    after = [m for m in range(longest - run + 1) if all(quiet[m + 1 : m + run + 1])]
    significant = after[0] if after else max(lag for lag in range(1, longest + 1) if not quiet[lag])
    width = min(2 * max(significant, 1), longest)
    spectrum = slope = 0.0
    for lag in range(-width, width + 1):
        share = abs(lag / width)
        weight = 1.0 if share <= 0.5 else 2 * (1 - share)
        spectrum += weight * known[abs(lag)]
        slope += weight * abs(lag) * known[abs(lag)]
    best = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * count ** (1 / 3)
    return math.ceil(min(max(best, 1), 3 * math.sqrt(count), count / 3))


@pytest.mark.parametrize("memory", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("count", [40, 120, 300])
def test_the_paper_s_rule_done_slowly_gives_the_same_block_length(count: int, memory: float) -> None:
    random = np.random.default_rng(count)
    for _ in range(3):
        values = autoregressive(random, count, memory)
        assert optimal_block_length(values) == slow_block_length(values)


def test_blocks_span_the_memory_of_volatility_when_signs_have_none() -> None:
    random = np.random.default_rng(4)
    series = [
        random.normal(size=2_000) * np.exp(autoregressive(random, 2_000, 0.95) * 0.2) for _ in range(15)
    ]
    signed = np.median([optimal_block_length(returns) for returns in series])
    assert np.median([block_length_of(returns) for returns in series]) > 5 * signed


def test_a_trend_is_given_blocks_no_longer_than_a_third_of_the_series() -> None:
    assert optimal_block_length(np.arange(60.0)) <= 20


@given(st.integers(0, 1_000), st.integers(-20, 20))
@settings(deadline=None, max_examples=30)
def test_the_block_length_does_not_depend_on_the_unit(seed: int, power: int) -> None:
    values = np.random.default_rng(seed).normal(size=200)
    assert optimal_block_length(values * 2.0**power) == optimal_block_length(values)


def test_an_interval_is_the_middle_of_the_resamples() -> None:
    interval = percentile_interval(np.arange(101.0), 0.9)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((5.0, 95.0))


def test_resamples_that_lack_the_statistic_leave_no_interval_unless_they_are_few() -> None:
    values = np.arange(1_000.0)
    values[:20] = np.nan
    assert percentile_interval(values, 0.95) is not None
    assert percentile_interval(values, 0.98) is None
    assert percentile_interval(np.full(5, np.nan), 0.9) is None


@pytest.mark.parametrize(
    ("series", "resamples", "block_length"),
    [
        ([], 10, None), ([1.0], 10, None), ([1.0, 2.0], 0, None), ([1.0, 2.0], 10, 0), ([1.0, 2.0], 10, 3),
        ([1.0, math.nan], 10, None),
    ],
)  # fmt: skip
def test_what_cannot_be_resampled_is_refused(
    series: list[float], resamples: int, block_length: int | None
) -> None:
    with pytest.raises(InvalidValue):
        bootstrap(series, mean, resamples=resamples, seed=0, block_length=block_length)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_a_confidence_that_is_no_probability_is_refused(confidence: float) -> None:
    with pytest.raises(InvalidValue, match="confidence"):
        percentile_interval(np.ones(3), confidence)
