"""Confidence intervals from the circular block bootstrap of returns or trades.

Politis and Romano (1992), A Circular Block-Resampling Procedure for Stationary Data; in place of the
stationary bootstrap of Politis and Romano (1994) because with blocks of one length its estimates vary less
(Lahiri 1999, Theoretical Comparisons of Block Bootstrap Methods) and blocks are copied whole.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue
from trading.metrics.checks import Array, check_confidence, checked_numbers

Statistics = Callable[[Array], Mapping[str, Array]]
BATCH = 1 << 20  # numbers resampled at once: 8 MB per temporary array, whatever the length of the series
SIGNIFICANT = 2.0  # standard errors from which on an autocorrelation counts: Politis and White, footnote c


@dataclass(frozen=True, slots=True)
class Interval:
    """Percentiles of the resamples around the middle `confidence`."""

    low: float
    high: float


def bootstrap(
    series: npt.ArrayLike,
    statistics: Statistics,
    *,
    resamples: int,
    seed: int,
    block_length: int | None = None,
) -> dict[str, Array]:
    """Compute each statistic of `resamples` series that are built of random blocks of this one, all (resamples,).

    `statistics` takes resamples as rows (m, n) and returns (m,) per name, NaN where it does not exist. The same
    seed gives the same bits. `block_length` None: `block_length_of` the series. Raises InvalidValue.
    """
    values = checked_numbers("series", series)
    if values.size < 2 or resamples < 1:
        raise InvalidValue(
            f"{resamples} resamples of {values.size} values: needed are at least one resample and two values"
        )
    length = block_length_of(values) if block_length is None else block_length
    if not 1 <= length <= values.size:
        raise InvalidValue(
            f"block_length is {length}: allowed is 1 to {values.size}, the length of the series"
        )
    random = np.random.default_rng(seed)
    rows = max(1, BATCH // values.size)
    parts = [
        statistics(_resample(values, length, min(rows, resamples - done), random))
        for done in range(0, resamples, rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(values: Array, confidence: float) -> Interval | None:
    """Compute the percentile interval of Efron (1979).

    None where more resamples lack the statistic than lie beyond one end.
    """
    check_confidence(confidence)
    beyond = (1.0 - confidence) / 2.0
    known = values[np.isfinite(values)]
    if not known.size or known.size < (1.0 - beyond) * values.size:
        return None
    low, high = np.quantile(known, (beyond, 1.0 - beyond))
    return Interval(float(low), float(high))


def block_length_of(series: npt.ArrayLike) -> int:
    """Return the longer of the optimal block lengths of the values and of their squares, in values.

    Returns hardly predict the sign of later ones but do predict their size, and the Sharpe ratio and every drawdown
    depend on both (Ledoit and Wolf 2008, Robust Performance Hypothesis Testing with the Sharpe Ratio).
    """
    values = checked_numbers("series", series)
    return max(optimal_block_length(values), optimal_block_length(values * values))


def optimal_block_length(values: Array) -> int:
    """Return the circular bootstrap's block length: 1 without memory, at most min(3 sqrt(n), n / 3) rounded up.

    Politis and White (2004), Automatic Block-Length Selection for the Dependent Bootstrap, section 3.2 and
    footnote c, as corrected by Patton, Politis and White (2009).
    """
    count = values.size
    if count < 9 or float(np.ptp(values)) == 0.0:
        return 1
    run = max(5, math.ceil(math.sqrt(math.log10(count))))
    maximum_lag = min(math.ceil(math.sqrt(count)) + run, count - 1)
    covariance = _autocovariance(values, maximum_lag)
    if covariance[0] <= 0.0:
        return 1
    bandwidth = min(2 * _last_significant(covariance / covariance[0], run, count), maximum_lag)
    lags = np.arange(1, bandwidth + 1)
    flat_top = np.minimum(1.0, 2.0 * (1.0 - lags / bandwidth)) * covariance[1 : bandwidth + 1]
    spectrum = float(covariance[0] + 2.0 * flat_top.sum())
    slope = float(2.0 * (lags * flat_top).sum())
    if spectrum == 0.0:
        return 1
    best = math.cbrt(1.5 * (slope / spectrum) ** 2 * count)  # (2 G^2 / D)^(1/3) n^(1/3) with D = 4/3 g(0)^2
    return math.ceil(min(max(best, 1.0), 3 * math.sqrt(count), count / 3))


def _last_significant(correlation: Array, run: int, count: int) -> int:
    """Find the smallest lag, at least 1, after which `run` autocorrelations in a row are insignificant."""
    limit = SIGNIFICANT * math.sqrt(math.log10(count) / count)
    quiet = np.abs(correlation[1:]) < limit
    runs = np.convolve(quiet, np.ones(run, dtype=np.int64), "valid") == run
    if runs.any():
        return max(int(runs.argmax()), 1)
    return int(np.flatnonzero(~quiet)[-1]) + 1 if not quiet.all() else 1


def _autocovariance(values: Array, maximum_lag: int) -> Array:
    """Lags 0 to `maximum_lag`, each divided by n, through the Fourier transform padded against wrapping."""
    centred = values - values.mean()
    size = 1 << (values.size + maximum_lag).bit_length()
    transform = np.fft.rfft(centred, size)
    return np.asarray(np.fft.irfft(np.abs(transform) ** 2, size)[: maximum_lag + 1] / values.size)


def _resample(values: Array, length: int, rows: int, random: np.random.Generator) -> Array:
    wrapped = np.concatenate([values, values[: length - 1]])
    windows = np.lib.stride_tricks.sliding_window_view(wrapped, length)
    starts = random.integers(0, values.size, (rows, math.ceil(values.size / length)))
    return np.ascontiguousarray(windows[starts].reshape(rows, -1)[:, : values.size])
