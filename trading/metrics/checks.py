"""Checks of the series that metrics are computed from; they refuse by name and row."""

import math

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]


def checked_equity(equity: npt.ArrayLike) -> Array:
    """Return one finite value per candle, at least one. Zero is ruin: it may only be followed by zeros.

    Raises InvalidValue: there is no return on nothing, and none on debts.
    """
    values = _series("equity", equity)
    if not values.size:
        raise InvalidValue("equity is empty: a curve needs at least its opening value")
    _refuse("equity", values, values < 0, "zero or more")
    _refuse(
        "equity", values, np.append(values[0] == 0, (values[:-1] == 0) & (values[1:] > 0)), "zero after ruin"
    )
    return values


def ruined_at_zero(equity: npt.ArrayLike) -> Array:
    """Return the curve, zero from the first row on at which the account is worth nothing or owes money.

    What it owes beyond is in no metric: nothing can be gained on a ruined account, and it cannot lose more
    than everything. Raises InvalidValue as `checked_equity` does, but for negative equity.
    """
    values = _series("equity", equity)
    return checked_equity(np.where(np.logical_or.accumulate(values <= 0), 0.0, values))


def checked_returns(returns: npt.ArrayLike) -> Array:
    """Return simple returns per candle (0.01 = 1 %), finite, none below -1; none at all is allowed.

    Raises InvalidValue.
    """
    values = _series("returns", returns)
    _refuse("returns", values, values < -1, "-1 (everything lost) or more")
    return values


def checked_numbers(name: str, values: npt.ArrayLike) -> Array:
    """Return finite numbers in one dimension; none at all is allowed. Raises InvalidValue."""
    return _series(name, values)


def check_per_year(per_year: float) -> None:
    if not (math.isfinite(per_year) and per_year > 0):
        raise InvalidValue(f"per_year is {per_year}: allowed is a finite number of candles above 0")


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidValue(f"confidence is {confidence}: allowed is a probability between 0 and 1")


def _series(name: str, values: npt.ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InvalidValue(f"{name} has shape {array.shape}: one number per row is needed")
    _refuse(name, array, ~np.isfinite(array), "finite numbers")
    return array


def _refuse(name: str, values: Array, impossible: npt.NDArray[np.bool_], allowed: str) -> None:
    if impossible.any():
        row = int(impossible.argmax())
        raise InvalidValue(f"{name} of row {row} is {values[row]}: allowed is {allowed}")
