import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trading.errors import InvalidValue
from trading.metrics import average_loss, average_win, expectancy, exposure, hit_rate, profit_factor, turnover

Array = npt.NDArray[np.float64]
TRADES = [3.0, -1.0, 0.0, -2.0, 1.0]
OF_TRADES = (hit_rate, profit_factor, expectancy, average_win, average_loss)


def test_worked_example() -> None:
    assert hit_rate(TRADES) == pytest.approx(0.4)  # the one that came out even is no hit
    assert profit_factor(TRADES) == pytest.approx(4 / 3)
    assert expectancy(TRADES) == pytest.approx(0.2)
    assert average_win(TRADES) == pytest.approx(2.0)
    assert average_loss(TRADES) == pytest.approx(1.5)


def test_without_trades_no_metric_of_trades_exists() -> None:
    assert [metric([]) for metric in OF_TRADES] == [None] * 5


def test_without_losses_there_is_no_profit_factor() -> None:
    assert profit_factor([1.0, 0.0]) is None
    assert average_loss([1.0, 0.0]) is None


def test_without_gains_the_profit_factor_is_zero() -> None:
    assert profit_factor([-1.0]) == 0.0
    assert average_win([-1.0]) is None


def test_a_profit_factor_beyond_the_largest_number_does_not_exist() -> None:
    assert profit_factor([1e10, -1e-310]) is None


@pytest.mark.parametrize("metric", OF_TRADES)
def test_a_trade_of_unknown_profit_is_refused(metric: Callable[[list[float]], float | None]) -> None:
    with pytest.raises(InvalidValue, match="pnls of row 1"):
        metric([1.0, math.nan])


def test_turnover_counts_both_sides_in_multiples_of_equity() -> None:
    assert turnover([100.0, 0.0, 150.0], [100.0, 140.0, 150.0]) == pytest.approx(2.0)


def test_a_ruined_account_that_trades_nothing_has_no_more_turnover() -> None:
    assert turnover([1.0, 0.0], [1.0, 0.0]) == 1.0


@pytest.mark.parametrize(
    ("traded", "equity"),
    [([-1.0], [1.0]), ([1.0, 1.0], [1.0, 0.0]), ([1.0], [1.0, 1.0]), ([math.nan], [1.0])],
)
def test_impossible_trading_is_refused(traded: list[float], equity: list[float]) -> None:
    with pytest.raises(InvalidValue, match="traded"):
        turnover(traded, equity)


def test_exposure_is_the_mean_size_of_the_position_long_or_short() -> None:
    assert exposure([1.0, -0.5, 0.0, 0.5]) == pytest.approx(0.5)
    assert exposure([]) is None


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-10, 10)))
@settings(deadline=None, max_examples=100)
def test_wins_less_losses_are_the_expectancy(pnls: Array) -> None:
    won = (average_win(pnls) or 0.0) * np.count_nonzero(pnls > 0)
    lost = (average_loss(pnls) or 0.0) * np.count_nonzero(pnls < 0)
    assert (won - lost) / pnls.size == pytest.approx(expectancy(pnls), abs=1e-9)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-10, 10)))
@settings(deadline=None, max_examples=100)
def test_a_profit_factor_above_one_is_a_gain(pnls: Array) -> None:
    factor = profit_factor(pnls)
    if factor is not None and abs(factor - 1) > 1e-9:
        assert (factor > 1) == (pnls.sum() > 0)
