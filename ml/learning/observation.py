"""The observation of a policy: normalised features and the current exposure; the same in training and live."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Observations = npt.NDArray[np.float32]
LIMIT = 5.0  # normalised features are clipped here: one extreme candle must not saturate the network


@dataclass(frozen=True, slots=True, eq=False)
class Normaliser:
    """Mean and standard deviation per feature, shape (f,), of the training rows and no others."""

    names: tuple[str, ...]
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.mean.shape == self.std.shape == (len(self.names),):
            raise InvalidValue(
                f"normaliser of {len(self.names)} features has shapes {self.mean.shape} {self.std.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise InvalidValue("normaliser: mean must be finite, standard deviation finite and above zero")

    @classmethod
    def fit(cls, features: npt.NDArray[np.float64], names: Sequence[str]) -> "Normaliser":
        """Fit to training rows (n, f). A feature that is constant there gets standard deviation 1."""
        _check_finite(features, tuple(names))
        std = features.std(axis=0)
        constant = std <= 1e-12 * np.abs(features).max(axis=0)  # rounding alone moves a constant by that much
        return cls(tuple(names), features.mean(axis=0), np.where(constant, 1.0, std))


def observe(
    features: npt.NDArray[np.float64], exposure: npt.NDArray[np.float64] | float, normaliser: Normaliser
) -> Observations:
    """Build observations (n, f + 1): features (n, f) normalised and clipped to -5..5, then the exposure (n,).

    A feature that is not a finite number raises InvalidValue naming it: an unknown is never a zero.
    """
    _check_finite(features, normaliser.names)
    observations = np.empty((len(features), features.shape[1] + 1), dtype=np.float32)
    observations[:, :-1] = ((features - normaliser.mean) / normaliser.std).clip(-LIMIT, LIMIT)
    observations[:, -1] = exposure
    return observations


def _check_finite(features: npt.NDArray[np.float64], names: tuple[str, ...]) -> None:
    if features.ndim != 2 or features.shape[1] != len(names):
        raise InvalidValue(f"features have shape {features.shape}: expected (rows, {len(names)})")
    finite = np.isfinite(features)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InvalidValue(
            f"feature {names[column]} of row {row} is {features[row, column]}: "
            "rows in warm-up or without data cannot be observed, leave them out"
        )
