"""The formulas over the last axis, unchecked, NaN where a ratio does not exist: one curve or thousands at once.

`performance` and `activity` state sources and units, check one curve and turn NaN into None. The bootstrap
calls these directly with its resamples as rows.
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
NO_VARIANCE = 1e-12  # a spread of returns below this is rounding, not risk
TAIL = 5.0  # per cent on either side


def finite_or_none(value: Array | np.float64) -> float | None:
    """Return one number, or None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def curve(returns: Array) -> Array:
    """Return the equity (..., n + 1) of returns (..., n), from 1; infinite where it outgrows the largest number."""
    equity = np.empty((*returns.shape[:-1], returns.shape[-1] + 1))
    equity[..., 0] = 1.0
    np.add(returns, 1.0, out=equity[..., 1:])
    with np.errstate(over="ignore"):
        np.cumprod(equity[..., 1:], axis=-1, out=equity[..., 1:])
    return equity


def total_return(equity: Array) -> Array:
    return np.asarray(equity[..., -1] / equity[..., 0] - 1.0)


def cagr(equity: Array, per_year: float) -> Array:
    periods = equity.shape[-1] - 1
    if periods < 1:
        return np.full(equity.shape[:-1], np.nan)
    with np.errstate(over="ignore"):
        yearly = (equity[..., -1] / equity[..., 0]) ** (per_year / periods) - 1.0
    return np.where(np.isfinite(yearly), yearly, np.nan)


def drawdowns(equity: Array) -> Array:
    with np.errstate(invalid="ignore"):  # infinite equity
        return np.asarray(1.0 - equity / np.maximum.accumulate(equity, axis=-1))


def longest_drawdown(equity: Array) -> Array:
    rows = np.arange(equity.shape[-1])
    peak = np.where(equity >= np.maximum.accumulate(equity, axis=-1), rows, 0)
    return np.asarray((rows - np.maximum.accumulate(peak, axis=-1)).max(axis=-1), dtype=np.float64)


def volatility(returns: Array, per_year: float) -> Array:
    return deviation(returns) * math.sqrt(per_year)


def sharpe(returns: Array, per_year: float) -> Array:
    return ratio(mean(returns), deviation(returns)) * math.sqrt(per_year)


def sortino(returns: Array, per_year: float) -> Array:
    below = np.minimum(returns, 0.0)
    return ratio(mean(returns), np.sqrt(mean(below * below))) * math.sqrt(per_year)


def tail_ratio(returns: Array) -> Array:
    if not returns.shape[-1]:
        return np.full(returns.shape[:-1], np.nan)
    low, high = np.percentile(returns, (TAIL, 100.0 - TAIL), axis=-1)
    return ratio(np.abs(high), np.abs(low))


def hit_rate(pnls: Array) -> Array:
    return mean((pnls > 0).astype(np.float64))


def profit_factor(pnls: Array) -> Array:
    won, lost = np.maximum(pnls, 0.0).sum(axis=-1), -np.minimum(pnls, 0.0).sum(axis=-1)
    return ratio(won, lost, minimum=0.0)


def average_win(pnls: Array) -> Array:
    return ratio(np.maximum(pnls, 0.0).sum(axis=-1), (pnls > 0).sum(axis=-1))


def average_loss(pnls: Array) -> Array:
    return ratio(-np.minimum(pnls, 0.0).sum(axis=-1), (pnls < 0).sum(axis=-1))


def mean(values: Array) -> Array:
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values.mean(axis=-1))


def deviation(values: Array) -> Array:
    """Compute the sample standard deviation (one degree of freedom spent on the mean)."""
    if values.shape[-1] < 2:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values.std(axis=-1, ddof=1))


def ratio(numerator: Array, denominator: Array, minimum: float = NO_VARIANCE) -> Array:
    """Divide; NaN where the denominator is not above `minimum` and where the ratio exceeds the largest number."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    with np.errstate(over="ignore"):
        quotient = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > minimum)
    return np.where(np.isfinite(quotient), quotient, np.nan)
