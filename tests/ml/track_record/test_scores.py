"""Scores against what is known by arithmetic and by scikit-learn."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from ml.track_record.scores import calibration, scores, wilson
from tests.ml.track_record.voted import table, vote


def judged(rows: list[tuple[int, float, float]], **changes: str) -> pl.DataFrame:
    """Votes of (direction, confidence, outcome)."""
    names = {1: "LONG", -1: "SHORT", 0: "HOLD"}
    made = table(*(vote(number, names[row[0]], row[1], **changes) for number, row in enumerate(rows)))
    return made.with_columns(
        direction=pl.Series([row[0] for row in rows], dtype=pl.Int8),
        outcome=pl.Series([row[2] for row in rows], dtype=pl.Float64),
        window=pl.int_range(len(rows)),
        rise_rate=sum(row[2] > 0 for row in rows) / len(rows),
        regime=pl.Series(
            ["quiet" if number % 2 else "ranging" for number in range(len(rows))], dtype=pl.String
        ),
    )


def test_a_judge_that_is_sure_and_right_is_perfect_and_one_that_is_sure_and_wrong_is_worst() -> None:
    [right] = scores(judged([(1, 1.0, 0.01), (-1, 1.0, -0.01), (0, 1.0, 0.05)]), 1)
    [wrong] = scores(judged([(1, 1.0, -0.01), (-1, 1.0, 0.01)]), 1)
    assert (right.votes, right.hit_rate, right.brier, right.skill) == (2, 1.0, 0.0, 1.0)
    assert (wrong.hit_rate, wrong.brier, wrong.skill) == (0.0, 1.0, -3.0)
    assert right.mean_return == pytest.approx(0.01)


def test_who_says_long_all_the_time_in_a_rising_market_has_no_skill() -> None:
    rows = [(1, 0.6, 0.01 if number % 5 else -0.01) for number in range(100)]  # 80 % rise, as forecast
    [score] = scores(judged(rows), 1)
    assert score.hit_rate == 0.8
    assert score.skill == pytest.approx(0.0)


def test_where_all_outcomes_go_one_way_there_is_no_skill_to_show() -> None:
    [score] = scores(judged([(1, 0.9, 0.01)] * 50), 1)
    assert (score.hit_rate, score.base_brier, score.skill) == (1.0, 0.0, 0.0)


def test_regimes_are_scored_apart_and_judges_too() -> None:
    rows = [(1, 0.5, 0.01), (1, 0.5, -0.01)] * 3
    both = pl.concat([judged(rows), judged(rows, agent="quant")])
    found = scores(both, 4, by_regime=True)
    assert [(each.agent, each.regime, each.hit_rate, each.horizon) for each in found] == [
        ("quant", "quiet", 0.0, 4), ("quant", "ranging", 1.0, 4),
        ("technical", "quiet", 0.0, 4), ("technical", "ranging", 1.0, 4),
    ]  # fmt: skip


ROWS = st.lists(
    st.tuples(st.sampled_from([-1, 1]), st.floats(0, 1), st.floats(-0.1, 0.1).filter(bool)),
    min_size=2,
    max_size=50,
)


@given(ROWS)
def test_the_brier_score_is_that_of_scikit_learn(rows: list[tuple[int, float, float]]) -> None:
    right = np.array([direction * outcome > 0 for direction, _, outcome in rows])
    forecasts = np.array([(1 + confidence) / 2 for _, confidence, _ in rows])
    rises = np.array([outcome > 0 for *_, outcome in rows])
    [score] = scores(judged(rows), 1)
    assert score.brier == pytest.approx(brier_score_loss(right, forecasts, labels=[False, True]))
    base = brier_score_loss(rises, np.full(len(rows), rises.mean()), labels=[False, True])
    assert score.base_brier == pytest.approx(base)
    assert score.hit_low <= score.hit_rate <= score.hit_high


@given(ROWS)
def test_the_classes_of_the_calibration_curve_hold_every_vote_once(
    rows: list[tuple[int, float, float]],
) -> None:
    curve = calibration(judged(rows))
    assert sum(each.votes for each in curve) == len(rows)
    assert all(each.from_forecast - 1e-9 <= each.forecast for each in curve)
    assert all(each.forecast < each.from_forecast + 0.1 + 1e-9 for each in curve if each.from_forecast < 0.9)


def test_wilsons_interval_is_the_published_one() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Newcombe 1998, table of method 3
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)
