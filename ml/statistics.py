"""Performance metrics of an equity curve: finite numbers for every curve of finite positive equity."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
NO_VARIANCE = 1e-12  # standard deviation of returns below this is rounding, not risk


def total_return(equity: Array) -> float:
    """Share gained or lost from first to last (0.1 = 10 %)."""
    return float(equity[-1] / equity[0] - 1.0)


def annualised_sharpe(returns: Array, per_year: float) -> float:
    """Mean over sample standard deviation of returns per candle, times the root of candles per year.

    Sharpe (1994), The Sharpe Ratio, equations 4-6; scaled for independent returns. Zero where the ratio
    does not exist: fewer than two returns, or returns that do not vary.
    """
    if returns.size < 2 or (deviation := float(returns.std(ddof=1))) < NO_VARIANCE:
        return 0.0
    return float(returns.mean()) / deviation * math.sqrt(per_year)


def maximum_drawdown(equity: Array) -> float:
    """Deepest fall below an earlier peak, as a share of that peak (0.1 = 10 %); 0 when it never fell.

    Magdon-Ismail and Atiya (2004), Maximum Drawdown.
    """
    return float((1.0 - equity / np.maximum.accumulate(equity)).max())
