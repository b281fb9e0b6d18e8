"""The benchmark of the fast lane drops no slow decision, and lets candles close in every phase of a sensor's wait."""

import random

import pytest

from benchmarks.fast_lane import FAR, NEAR, WARM, distances, quantile


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (20, 0.99, 20),
        (24, 0.99, 24),
        (100, 0.99, 99),
        (1000, 0.99, 990),
        (8, 0.5, 4),
        (1, 0.5, 1),
        (5, 0.5, 3),
    ],
)
def test_a_quantile_is_the_smallest_value_that_its_share_does_not_exceed(
    count: int, share: float, expected: int
) -> None:
    assert quantile(range(count, 0, -1), share) == expected


def test_as_many_candles_as_wanted_come_late_and_none_of_them_is_left_out() -> None:
    for seed in range(20):
        drawn = distances(10, 3, random.Random(seed))
        assert sum(FAR[0] <= each <= FAR[1] for each in drawn[WARM:]) == 3
        assert sum(NEAR[0] <= each <= NEAR[1] for each in drawn) == 7
