"""Numbers of an order as exact decimals: sums and products never round, quotients round where they say so.

Inside EXACT no operation raises: what cannot be computed is NaN, and NaN compares false. A number has at most 60
digits and the longest product five factors, so that 400 digits are never needed.
"""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_UP, Context, Decimal
from functools import lru_cache
from numbers import Integral, Rational, Real
from typing import NamedTuple

from trading.risk.limits import Limits

DIGITS, QUOTIENT_DIGITS = 60, 40
EXACT = Context(prec=400, rounding=ROUND_DOWN, Emax=999_999, Emin=-999_999, traps=[])
_NUMBER = Context(prec=DIGITS, rounding=ROUND_DOWN, Emax=999_999, Emin=-999_999, traps=[])
quotient = Context(QUOTIENT_DIGITS, ROUND_DOWN, -999_999, 999_999, traps=[]).divide  # never further from zero
quotient_up = Context(QUOTIENT_DIGITS, ROUND_UP, -999_999, 999_999, traps=[]).divide  # never nearer to zero

# Prices and amounts outside this range are mistakes.
_SMALLEST, _LARGEST = Decimal("1e-18"), Decimal("1e18")
NAN, ZERO, ONE = Decimal("NaN"), Decimal(0), Decimal(1)


is_positive = ZERO.__lt__  # false for NaN
is_not_negative = ZERO.__le__  # false for NaN


def exceeds(value: Decimal, limit: float | Decimal) -> bool:
    """Return whether `value` is above `limit` or NaN: what is not known counts as too much."""
    return not value <= limit


def number(value: object) -> Decimal:
    """Return the shortest decimal of the same float; NaN for what is no number and for what no trade can hold."""
    if type(value) is float and 1e-18 <= value <= 1e18:  # nearly every number there is
        return Decimal(repr(value))
    exact = _to_decimal(value)
    if not exact.is_finite():
        return NAN
    if not exact:
        return ZERO
    return exact if _SMALLEST <= abs(exact) <= _LARGEST and _NUMBER.plus(exact) == exact else NAN


def _to_decimal(value: object) -> Decimal:
    """Scalars of numpy are numbers; truth values and digits in a text are not."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(float(value)))
    if isinstance(value, bool):
        return NAN
    if isinstance(value, int | Integral):
        return Decimal(int(value))
    if isinstance(value, Rational) or not isinstance(value, Real):
        return NAN
    return Decimal(repr(float(value)))


def on_grid(price: Decimal, increment: Decimal, rounding: str) -> Decimal:
    """Return the multiple of `increment` next to `price`; `rounding` is ROUND_CEILING, ROUND_FLOOR or ROUND_DOWN."""
    steps = price // increment  # towards zero
    if rounding != ROUND_DOWN and steps * increment != price:
        if rounding == ROUND_CEILING and price > 0:
            steps += 1
        elif rounding != ROUND_CEILING and price < 0:
            steps -= 1
    return steps * increment


class ExactLimits(NamedTuple):
    """The limits that amounts are measured against."""

    risk_per_trade: Decimal
    position_cap: Decimal
    asset_cap: Decimal
    total_exposure: Decimal
    reserve: Decimal
    stop_distance: Decimal
    trailing_after: Decimal
    reward_risk: Decimal
    correlated_size: Decimal
    drawdown: Decimal
    daily_loss: Decimal


@lru_cache(maxsize=16)
def exact_limits(limits: Limits) -> ExactLimits:
    """Convert the limits, once for each set of them."""
    return ExactLimits(*(number(float(getattr(limits, name))) for name in ExactLimits._fields))
