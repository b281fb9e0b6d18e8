import math
from collections.abc import Callable

import empyrical
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.trading.indicators.candle_walks import Array, recorded_closes
from trading.errors import InvalidValue
from trading.metrics import (
    annualised_sharpe,
    annualised_volatility,
    cagr,
    calmar_ratio,
    drawdowns,
    longest_drawdown,
    maximum_drawdown,
    returns_of,
    sortino_ratio,
    tail_ratio,
    total_return,
)

PER_YEAR = 8_760.0
CURVES = arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-3, 1e3))
OF_EQUITY: dict[str, Callable[[Array], float | None]] = {
    "total return": total_return,
    "CAGR": lambda equity: cagr(equity, PER_YEAR),
    "Calmar": lambda equity: calmar_ratio(equity, PER_YEAR),
    "maximum drawdown": maximum_drawdown,
    "longest drawdown": longest_drawdown,
}
OF_RETURNS: dict[str, Callable[[Array], float | None]] = {
    "volatility": lambda returns: annualised_volatility(returns, PER_YEAR),
    "Sharpe": lambda returns: annualised_sharpe(returns, PER_YEAR),
    "Sortino": lambda returns: sortino_ratio(returns, PER_YEAR),
    "tail ratio": tail_ratio,
}


def equity_of(returns: Array) -> Array:
    return np.cumprod(np.append(1.0, 1.0 + returns))


def random_returns(seed: int, count: int = 500) -> Array:
    return np.random.default_rng(seed).standard_t(3, count) * 0.003 + 0.0001


def real_returns() -> Array:
    [close] = recorded_closes("binance_XRP-BTC_1h_2017-2020")
    return np.asarray(close[1:] / close[:-1] - 1.0)


def assert_agrees_with_empyrical(returns: Array) -> None:
    """Its conventions are ours: n - 1 in deviations, n in the downside, given periods per year; drawdowns below 0."""
    equity, year = equity_of(returns), {"annualization": PER_YEAR}
    for ours, theirs in (
        (total_return(equity), empyrical.cum_returns_final(returns)),
        (cagr(equity, PER_YEAR), empyrical.cagr(returns, **year)),
        (annualised_volatility(returns, PER_YEAR), empyrical.annual_volatility(returns, **year)),
        (annualised_sharpe(returns, PER_YEAR), empyrical.sharpe_ratio(returns, **year)),
        (sortino_ratio(returns, PER_YEAR), empyrical.sortino_ratio(returns, **year)),
        (calmar_ratio(equity, PER_YEAR), empyrical.calmar_ratio(returns, **year)),
        (maximum_drawdown(equity), -empyrical.max_drawdown(returns)),
        (tail_ratio(returns), empyrical.tail_ratio(returns)),
    ):
        assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_an_independent_library_agrees_on_random_returns(seed: int) -> None:
    assert_agrees_with_empyrical(random_returns(seed))


def test_an_independent_library_agrees_on_a_real_market() -> None:
    assert_agrees_with_empyrical(real_returns())


def test_worked_example() -> None:
    equity = np.array([1.0, 1.2, 0.9, 1.5])
    assert total_return(equity) == pytest.approx(0.5)
    assert maximum_drawdown(equity) == pytest.approx(0.25)
    assert drawdowns(equity) == pytest.approx([0, 0, 0.25, 0])
    assert cagr(equity, 6.0) == pytest.approx(1.25)  # half a year: 1.5 squared
    assert calmar_ratio(equity, 6.0) == pytest.approx(5.0)
    returns = np.array([0.01, 0.03])
    assert annualised_sharpe(returns, 100.0) == pytest.approx(0.02 / math.sqrt(0.0002) * 10)
    assert annualised_volatility(returns, 100.0) == pytest.approx(math.sqrt(0.0002) * 10)
    assert sortino_ratio(np.array([0.03, -0.01]), 100.0) == pytest.approx(0.01 / math.sqrt(0.00005) * 10)


@pytest.mark.parametrize(
    ("equity", "candles"),
    [
        ([1, 2, 3], 0),
        ([1, 0.9, 1], 1),
        ([1, 0.9, 0.8, 1, 0.9, 1], 2),
        ([2, 1, 1.5, 1.9], 3),  # never recovered
        ([1, 0.9, 1, 0.9, 0.8, 0.7, 2, 1], 3),
    ],
)
def test_the_longest_drawdown_counts_candles_below_an_earlier_peak(equity: list[float], candles: int) -> None:
    assert longest_drawdown(np.array(equity)) == candles


def test_a_peak_that_is_reached_again_has_recovered() -> None:
    assert longest_drawdown(np.array([1.0, 0.5, 1.0, 0.5, 1.0])) == 1


def test_returns_that_do_not_vary_have_no_sharpe_ratio() -> None:
    for returns in ([], [0.01], [0.1] * 7, [0.0] * 3):
        assert annualised_sharpe(returns, PER_YEAR) is None


def test_a_curve_that_never_fell_has_neither_sortino_nor_calmar_ratio() -> None:
    assert sortino_ratio([0.01, 0.0, 0.02], PER_YEAR) is None
    assert calmar_ratio([1.0, 1.0, 1.1], PER_YEAR) is None
    assert maximum_drawdown([1.0, 1.0, 1.1]) == 0.0


def test_a_strategy_mostly_out_of_the_market_has_no_tail_ratio() -> None:
    assert tail_ratio([0.0] * 98 + [0.1, -0.1]) is None


def test_one_candle_has_no_growth_per_year_and_no_loss() -> None:
    assert cagr([5.0], PER_YEAR) is None
    assert total_return([5.0]) == 0.0
    assert maximum_drawdown([5.0]) == 0.0
    assert longest_drawdown([5.0]) == 0
    assert returns_of([5.0]).size == 0


def test_a_curve_too_short_to_extrapolate_has_no_growth_per_year() -> None:
    assert cagr([1.0, 2.0], PER_YEAR) is None


def test_ruin_is_a_loss_of_everything_and_nothing_more() -> None:
    equity = [1.0, 2.0, 0.0, 0.0]
    assert total_return(equity) == -1.0
    assert cagr(equity, PER_YEAR) == -1.0
    assert maximum_drawdown(equity) == 1.0
    assert returns_of(equity).tolist() == [1.0, -1.0, 0.0]


@pytest.mark.parametrize(
    "equity",
    [
        [], [0.0], [0.0, 0.0], [1.0, -0.1], [1.0, 0.0, 1.0], [1.0, math.nan], [math.inf, 1.0], [[1.0, 2.0]],
        3.0,
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", OF_EQUITY)
def test_equity_that_cannot_be_is_refused(metric: str, equity: list[float]) -> None:
    with pytest.raises(InvalidValue, match="equity"):
        OF_EQUITY[metric](np.array(equity))


@pytest.mark.parametrize("returns", [[0.1, math.nan], [math.inf], [0.1, -1.1], [[0.1, 0.2]]])
@pytest.mark.parametrize("metric", OF_RETURNS)
def test_returns_that_cannot_be_are_refused(metric: str, returns: list[float]) -> None:
    with pytest.raises(InvalidValue, match="returns"):
        OF_RETURNS[metric](np.array(returns))


def test_a_refusal_names_the_row() -> None:
    with pytest.raises(InvalidValue, match="equity of row 2 is -3"):
        total_return([1.0, 2.0, -3.0])


@pytest.mark.parametrize("per_year", [0.0, -1.0, math.nan, math.inf])
def test_a_year_without_candles_is_refused(per_year: float) -> None:
    with pytest.raises(InvalidValue, match="per_year"):
        annualised_sharpe([0.1, 0.2], per_year)


@given(CURVES)
@settings(deadline=None, max_examples=100)
def test_every_metric_is_finite_or_none(equity: Array) -> None:
    values = [metric(equity) for metric in OF_EQUITY.values()]
    values += [metric(returns_of(equity)) for metric in OF_RETURNS.values()]
    assert all(value is None or math.isfinite(value) for value in values)


@given(CURVES)
@settings(deadline=None, max_examples=100)
def test_drawdowns_are_shares_and_the_deepest_bounds_the_total_loss(equity: Array) -> None:
    depth = drawdowns(equity)
    assert ((depth >= 0) & (depth < 1)).all()
    assert maximum_drawdown(equity) >= -total_return(equity) - 1e-12
    assert longest_drawdown(equity) <= np.count_nonzero(depth)


@given(CURVES, st.integers(-30, 30))
@settings(deadline=None, max_examples=100)
def test_the_currency_in_which_equity_is_counted_does_not_matter(equity: Array, power: int) -> None:
    for metric in OF_EQUITY.values():
        assert metric(equity * 2.0**power) == metric(equity)


@given(arrays(np.float64, st.integers(2, 50), elements=st.floats(-0.01, 0.01)), st.floats(0.5, 20))
@settings(deadline=None, max_examples=100)
def test_leverage_scales_volatility_but_no_ratio(returns: Array, leverage: float) -> None:
    volatility = annualised_volatility(returns, PER_YEAR)
    assert volatility is not None
    if volatility < 1e-6:  # where rounding decides whether a ratio exists
        return
    assert annualised_volatility(returns * leverage, PER_YEAR) == pytest.approx(volatility * leverage)
    assert annualised_sharpe(returns * leverage, PER_YEAR) == pytest.approx(
        annualised_sharpe(returns, PER_YEAR)
    )


@given(CURVES)
@settings(deadline=None, max_examples=50)
def test_the_equity_of_the_returns_is_the_equity(equity: Array) -> None:
    assert equity_of(returns_of(equity)) * equity[0] == pytest.approx(equity)
