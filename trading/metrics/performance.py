"""Return and risk of one equity curve. None where a ratio does not exist; no result is NaN or infinite.

Equity stands at the close of each candle, returns are simple returns per candle, `per_year` is the number of
candles in a year. Yearly figures assume independent returns and extrapolate from curves shorter than a year.
"""

import numpy as np
import numpy.typing as npt

from trading.metrics import formulas
from trading.metrics.checks import Array, check_per_year, checked_equity, checked_returns
from trading.metrics.formulas import finite_or_none


def returns_of(equity: npt.ArrayLike) -> Array:
    """Return the simple returns (n - 1,) of equity (n,); after ruin nothing more can be lost: 0."""
    values = checked_equity(equity)
    before, after = values[:-1], values[1:]
    return np.divide(after, before, out=np.ones_like(after), where=before > 0) - 1.0


def total_return(equity: npt.ArrayLike) -> float:
    """Return the share gained or lost from first to last (0.1 = 10 %)."""
    return float(formulas.total_return(checked_equity(equity)))


def cagr(equity: npt.ArrayLike, per_year: float) -> float | None:
    """Return the compound annual growth rate as a share: (last / first) ** (per_year / candles passed) - 1.

    CFA Institute, Global Investment Performance Standards (2020), annualised returns. None for a curve of one
    row, on which no time has passed, and where so short a curve extrapolates beyond the largest number.
    """
    values = checked_equity(equity)
    check_per_year(per_year)
    return finite_or_none(formulas.cagr(values, per_year))


def annualised_volatility(returns: npt.ArrayLike, per_year: float) -> float | None:
    """Return the sample standard deviation (n - 1) of returns times the root of candles per year, as a share.

    Hull, Options, Futures and Other Derivatives, estimating volatility from historical data, with simple
    returns. None for fewer than two returns.
    """
    values = checked_returns(returns)
    check_per_year(per_year)
    return finite_or_none(formulas.volatility(values, per_year))


def annualised_sharpe(returns: npt.ArrayLike, per_year: float) -> float | None:
    """Return mean over sample standard deviation of returns per candle, times the root of candles per year.

    Sharpe (1994), The Sharpe Ratio, equations 4-6, against a rate of zero; scaled for independent returns.
    None for fewer than two returns and for returns that do not vary.
    """
    values = checked_returns(returns)
    check_per_year(per_year)
    return finite_or_none(formulas.sharpe(values, per_year))


def sortino_ratio(returns: npt.ArrayLike, per_year: float) -> float | None:
    """Return mean over downside deviation below zero, times the root of candles per year.

    Sortino and Price (1994), Performance Measurement in a Downside Risk Framework: the downside deviation is
    the root mean square over all returns, gains counting as zero. None when nothing was ever lost.
    """
    values = checked_returns(returns)
    check_per_year(per_year)
    return finite_or_none(formulas.sortino(values, per_year))


def calmar_ratio(equity: npt.ArrayLike, per_year: float) -> float | None:
    """Return the compound annual growth rate over the maximum drawdown, both of the whole curve.

    Young (1991), Calmar Ratio: A Smoother Tool, which looks at the last 36 months. None when the curve never
    fell or has no growth rate.
    """
    values = checked_equity(equity)
    check_per_year(per_year)
    drawdown = np.asarray(formulas.drawdowns(values).max())
    return finite_or_none(formulas.ratio(formulas.cagr(values, per_year), drawdown))


def drawdowns(equity: npt.ArrayLike) -> Array:
    """Return how far each row (n,) lies below the highest so far, as a share of that (0.1 = 10 %)."""
    return formulas.drawdowns(checked_equity(equity))


def maximum_drawdown(equity: npt.ArrayLike) -> float:
    """Return the deepest fall below an earlier peak, as a share of that peak (0.1 = 10 %); 0 when it never fell.

    Magdon-Ismail and Atiya (2004), Maximum Drawdown.
    """
    return float(drawdowns(equity).max())


def longest_drawdown(equity: npt.ArrayLike) -> int:
    """Count the candles in the longest run that closed below an earlier peak, recovered or not; 0 when it never fell.

    Bacon (2008), Practical Portfolio Performance Measurement and Attribution, drawdown duration.
    """
    return int(formulas.longest_drawdown(checked_equity(equity)))


def tail_ratio(returns: npt.ArrayLike) -> float | None:
    """Return the size of the 95th over the 5th percentile of returns: above 1 the good tail is the longer one.

    As pyfolio and empyrical define it. None where the 5th percentile is zero, as for a strategy that is
    mostly out of the market.
    """
    return finite_or_none(formulas.tail_ratio(checked_returns(returns)))
