"""Tests whether a Sharpe ratio is skill: the probabilistic one of a track record, the deflated one of the best of many.

Everything here is per period, not annualised: divide yearly Sharpe ratios by the root of periods per year.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue
from trading.metrics import formulas
from trading.metrics.checks import check_confidence, checked_numbers, checked_returns

NORMAL = NormalDist()
EULER_MASCHERONI = float(np.euler_gamma)


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """The moments of returns that the tests need. A normal distribution has skewness 0, kurtosis 3."""

    sharpe: float  # per period
    periods: int
    skewness: float
    kurtosis: float  # not the excess

    def __post_init__(self) -> None:
        for name in ("sharpe", "skewness", "kurtosis"):
            if not math.isfinite(getattr(self, name)):
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is a finite number")
        if self.periods < 2:
            raise InvalidValue(f"periods is {self.periods}: allowed is 2 or more")
        if self.kurtosis < 1 + self.skewness**2 - 1e-9:
            raise InvalidValue(
                f"kurtosis is {self.kurtosis}: with skewness {self.skewness} allowed is {1 + self.skewness**2} or more"
            )

    @classmethod
    def of(cls, returns: npt.ArrayLike) -> "TrackRecord | None":
        """Compute the moments of the sample, divided by n; None below two returns and for returns that do not vary."""
        return cls.of_differences(checked_returns(returns))

    @classmethod
    def of_differences(cls, differences: npt.ArrayLike) -> "TrackRecord | None":
        """Compute the moments as `of` does, of returns over a benchmark's, which may lie below -1."""
        values = checked_numbers("differences", differences)
        sharpe = formulas.finite_or_none(formulas.sharpe(values, 1.0))
        if sharpe is None:
            return None
        centred = (values - values.mean()) / values.std()
        return cls(sharpe, values.size, float((centred**3).mean()), float((centred**4).mean()))

    @property
    def error_scale(self) -> float:
        """Standard error of the Sharpe ratio times sqrt(periods - 1); Mertens (2002)."""
        squared = 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        return math.sqrt(max(squared, 0.0))


def probabilistic_sharpe_ratio(record: TrackRecord, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark`, both per period.

    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, equation 11. Assumes independent
    returns. 0, 1/2 or 1 where skewness and kurtosis leave the ratio no error.
    """
    if not math.isfinite(benchmark):
        raise InvalidValue(f"benchmark is {benchmark}: allowed is a finite Sharpe ratio per period")
    excess = (record.sharpe - benchmark) * math.sqrt(record.periods - 1)
    if record.error_scale == 0.0:
        return 0.5 if excess == 0.0 else float(excess > 0.0)
    return NORMAL.cdf(excess / record.error_scale)


def minimum_track_record(record: TrackRecord, benchmark: float, confidence: float) -> float | None:
    """Return the periods that would show this Sharpe ratio to exceed `benchmark` with `confidence` above 1/2.

    Bailey and Lopez de Prado (2012), equation 13. None when it does not exceed it, or by so little that no
    finite length would do.
    """
    check_confidence(confidence)
    if confidence <= 0.5:
        raise InvalidValue(f"confidence is {confidence}: allowed is a probability above 0.5 and below 1")
    if not math.isfinite(benchmark):
        raise InvalidValue(f"benchmark is {benchmark}: allowed is a finite Sharpe ratio per period")
    if record.sharpe <= benchmark:
        return None
    errors = record.error_scale * NORMAL.inv_cdf(confidence) / (record.sharpe - benchmark)
    return formulas.finite_or_none(np.float64(1.0 + errors * errors))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Return what the best of independent trials without skill is expected to reach, per period.

    `variance` is that of the trials' Sharpe ratios per period. Bailey and Lopez de Prado (2014), The Deflated
    Sharpe Ratio, equation 1 with mean 0; 0 for a single trial, from which nothing was picked.
    """
    if not (math.isfinite(trials) and trials >= 1):
        raise InvalidValue(f"trials is {trials}: allowed is a finite number from 1 on")
    if not (math.isfinite(variance) and variance >= 0):
        raise InvalidValue(f"variance is {variance}: allowed is a finite number from 0 on")
    if trials == 1:
        return 0.0
    likely, extreme = NORMAL.inv_cdf(1.0 - 1.0 / trials), NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * max(0.0, (1.0 - EULER_MASCHERONI) * likely + EULER_MASCHERONI * extreme)


def deflated_sharpe_ratio(record: TrackRecord, trials: float, variance: float) -> float:
    """Return the probability that the best of `trials` has skill: that it beats what luck alone would reach.

    Bailey and Lopez de Prado (2014), equation 2. `record` is the picked trial's; `variance` that of all trials'
    Sharpe ratios per period. Trials that resemble each other count as `independent_trials`.
    """
    return probabilistic_sharpe_ratio(record, expected_maximum_sharpe(trials, variance))


def independent_trials(trials: int, correlation: float) -> float:
    """Return the number of trials that count when their returns correlate by `correlation` (0..1) on average.

    Bailey and Lopez de Prado (2014), appendix A.3, equation 9.
    """
    if trials < 1 or not 0 <= correlation <= 1:
        raise InvalidValue(
            f"{trials} trials that correlate by {correlation}: allowed are 1 or more trials and correlations of 0 to 1"
        )
    return correlation + (1.0 - correlation) * trials
