"""Plans made of signals: what is asked for, how much, and where it is protected."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ml.decision.trading_day import LIMITS
from trading.backtest import LEAVE_LONG
from trading.errors import InvalidValue
from trading.strategies import Entries, exposure, hold_plan, vote_plan

NAN = float("nan")
ROOMY = replace(
    LIMITS, risk_per_trade=0.01, position_cap=0.5, asset_cap=0.7, total_exposure=0.8, stop_distance=0.05,
    reward_risk=1.5, correlated_above=0.8, correlated_size=0.5,
)  # fmt: skip


def entries(*rows: tuple[int, float, float]) -> Entries:
    """(direction, stop, take profit) after each candle."""
    direction, stop, target = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return Entries(direction, stop, target, refused=np.zeros(len(rows), bool))


def targets(*rows: tuple[int, float, float]) -> list[float]:
    plan = vote_plan(entries(*rows), np.zeros(len(rows), np.int64), ROOMY)
    assert isinstance(plan.target, np.ndarray)
    return [float(value) for value in plan.target]


def test_an_entry_asks_for_the_exposure_at_which_its_stop_loses_the_risk_per_trade() -> None:
    assert targets((1, 0.04, 0.08)) == [0.25]
    assert targets((-1, 0.04, 0.08)) == [-0.25]


def test_nothing_decided_asks_for_nothing() -> None:
    assert np.isnan(targets((0, NAN, NAN))).all()


def test_a_close_stop_does_not_lift_the_position_above_its_cap() -> None:
    assert targets((1, 0.001, 0.01)) == [0.5]


def test_what_risk_would_refuse_is_not_asked_for() -> None:
    assert np.isnan(targets((1, 0.06, 0.2))).all()  # the stop is too far
    assert np.isnan(targets((1, 0.04, 0.05))).all()  # the reward is too small
    assert np.isnan(targets((1, NAN, NAN))).all()  # no stop is possible
    refused = replace(entries((1, 0.04, 0.08)), refused=np.array([True]))
    assert np.isnan(np.asarray(vote_plan(refused, np.array([0]), ROOMY).target)).all()


def test_what_is_left_is_left_even_where_risk_would_refuse_to_open() -> None:
    plan = vote_plan(entries((-1, 0.06, 0.2)), np.array([LEAVE_LONG]), ROOMY)
    assert plan.leaves is not None
    assert plan.leaves.tolist() == [LEAVE_LONG]


def test_no_cap_of_one_position_is_exceeded() -> None:
    for cap in ("position_cap", "asset_cap", "total_exposure"):
        [size] = exposure(np.array([0.001]), replace(ROOMY, **{cap: 0.05}))
        assert size == 0.05


def test_what_moves_with_btc_and_what_is_not_known_gets_its_part_of_the_size() -> None:
    rows = entries(*[(1, 0.04, 0.08)] * 4)
    correlation = np.array([0.5, 0.9, -0.9, np.nan])
    plan = vote_plan(rows, np.zeros(4, np.int64), ROOMY, btc_correlation=correlation)
    assert np.asarray(plan.target).tolist() == [0.25, 0.125, 0.125, 0.125]


@given(st.floats(1e-6, 0.1), st.floats(0.001, 0.05), st.floats(0.01, 0.5), st.floats(0.01, 1.0))
def test_the_exposure_never_risks_more_than_allowed_nor_exceeds_a_cap(
    stop: float, risk: float, cap: float, total: float
) -> None:
    limits = replace(LIMITS, risk_per_trade=risk, position_cap=cap, asset_cap=1.0, total_exposure=total)
    [size] = exposure(np.array([stop]), limits)
    assert 0 < size <= min(cap, total)
    assert size * stop <= risk * (1 + 1e-12)


def test_holding_buys_once() -> None:
    target = hold_plan(3).target
    assert isinstance(target, np.ndarray)
    assert target[0] == 1.0
    assert np.isnan(target[1:]).all()


def test_nothing_cannot_be_held() -> None:
    with pytest.raises(InvalidValue, match="no candles"):
        hold_plan(0)
