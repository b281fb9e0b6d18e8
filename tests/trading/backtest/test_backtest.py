import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trading.backtest import run_exposures, step
from trading.errors import InvalidValue
from trading.fills import Costs

Array = npt.NDArray[np.float64]
FREE = Costs(0.0, 0.0, 0.0)
DEAR = Costs(0.0026, 0.0001, 0.0002)
ROWS = 12
PRICES = arrays(np.float64, ROWS, elements=st.floats(0.5, 2.0))
EXPOSURES = arrays(np.float64, ROWS, elements=st.floats(0.0, 1.0))
DIRECTIONS = arrays(np.float64, ROWS, elements=st.sampled_from([0.0, 1.0]))


def numbers(*values: float) -> Array:
    return np.array(values, dtype=np.float64)


def test_a_decision_executes_at_the_next_open_and_the_last_one_is_marked_at_the_last_close() -> None:
    result = run_exposures(numbers(1, 1, 0, 0), numbers(1, 2, 3, 6), numbers(9, 9, 9, 12), FREE)
    assert result.equity.tolist() == [1.0, 1.5, 3.0, 3.0]  # 2 -> 3 -> 6, then flat
    assert run_exposures(numbers(1, 1), numbers(1, 2), numbers(9, 5), FREE).equity.tolist() == [1.0, 2.5]


def test_the_close_that_a_decision_was_computed_from_never_enters_its_result() -> None:
    exposures, opens = numbers(1, 0, 1), numbers(1, 2, 3)
    low, high = (run_exposures(exposures, opens, numbers(c, c, 4), DEAR).equity for c in (0.1, 100.0))
    assert np.array_equal(low, high)


def test_buying_and_selling_everything_pays_what_the_paper_venue_takes() -> None:
    result = run_exposures(numbers(1, 0, 0), numbers(10, 10, 10), numbers(10, 10, 10), DEAR)
    concession = DEAR.half_spread + DEAR.slippage
    quantity = 1.0 / (10 * (1 + concession) * (1 + DEAR.taker_fee))
    proceeds = quantity * 10 * (1 - concession) * (1 - DEAR.taker_fee)
    assert result.equity[-1] == pytest.approx(proceeds, rel=1e-12)
    fees = quantity * 10 * ((1 + concession) + (1 - concession)) * DEAR.taker_fee
    assert result.fees == pytest.approx(fees, rel=1e-12)
    assert (result.orders, result.trades) == (2, 1)


@given(PRICES, PRICES, DIRECTIONS)
@settings(deadline=None, max_examples=50)
def test_stepping_and_running_agree_to_the_bit(opens: Array, closes: Array, exposures: Array) -> None:
    result = run_exposures(exposures, opens, closes, DEAR)
    marks = np.append(opens, closes[-1])
    held, equity = numbers(0.0), 1.0
    for row in range(ROWS - 1):
        done = step(held, exposures[row : row + 1], marks[row + 1 : row + 2], marks[row + 2 : row + 3], DEAR)
        held, equity = done.held, equity * float(done.growth[0])
        assert held[0] == exposures[row]
        assert equity == result.equity[row + 1]


@given(PRICES, PRICES, EXPOSURES)
@settings(deadline=None, max_examples=50)
def test_costs_never_raise_equity_and_exposure_is_reached_after_paying(
    opens: Array, closes: Array, exposures: Array
) -> None:
    free, dear = (run_exposures(exposures, opens, closes, costs) for costs in (FREE, DEAR))
    assert dear.equity[-1] <= free.equity[-1] * (1 + 1e-12)
    flat = np.ones(ROWS)
    done = step(np.zeros(ROWS), exposures, flat, flat, DEAR)
    assert np.allclose(done.traded / done.growth, exposures, rtol=1e-12)


@given(PRICES, PRICES, DIRECTIONS)
@settings(deadline=None, max_examples=50)
def test_only_changes_of_direction_trade(opens: Array, closes: Array, exposures: Array) -> None:
    changes = np.count_nonzero(np.diff(exposures[:-1], prepend=0.0))
    assert run_exposures(exposures, opens, closes, DEAR).orders == changes


def test_cash_stays_what_it_is() -> None:
    result = run_exposures(np.zeros(3), numbers(1, 5, 2), numbers(1, 5, 2), DEAR)
    assert (result.equity.tolist(), result.turnover, result.fees) == ([1.0] * 3, 0.0, 0.0)


@pytest.mark.parametrize("exposure", [-0.1, 1.1, np.nan])
def test_an_impossible_exposure_is_refused_with_its_candle(exposure: float) -> None:
    with pytest.raises(InvalidValue, match="exposure after candle 1"):
        run_exposures(numbers(0, exposure), np.ones(2), np.ones(2), FREE)


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_price_is_refused_with_its_candle(price: float) -> None:
    with pytest.raises(InvalidValue, match="open of candle 1"):
        run_exposures(np.zeros(2), numbers(1, price), np.ones(2), FREE)
