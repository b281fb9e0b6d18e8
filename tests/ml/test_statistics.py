import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.statistics import Array, annualised_sharpe, maximum_drawdown, total_return

EQUITY = arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-3, 1e3))


def test_worked_example() -> None:
    equity = np.array([1.0, 1.2, 0.9, 1.5])
    assert total_return(equity) == pytest.approx(0.5)
    assert maximum_drawdown(equity) == pytest.approx(0.25)
    returns = np.array([0.01, 0.03])
    assert annualised_sharpe(returns, 100.0) == pytest.approx(0.02 / math.sqrt(0.0002) * 10)


def test_returns_that_do_not_vary_have_a_sharpe_ratio_of_zero() -> None:
    for returns in ([], [0.01], [0.1] * 7, [0.0] * 3):
        assert annualised_sharpe(np.array(returns), 8760.0) == 0.0


@given(EQUITY)
@settings(deadline=None, max_examples=50)
def test_every_metric_is_finite_and_a_drawdown_is_a_share(equity: Array) -> None:
    assert math.isfinite(total_return(equity))
    assert math.isfinite(annualised_sharpe(equity[1:] / equity[:-1] - 1, 8760.0))
    assert 0 <= maximum_drawdown(equity) < 1
