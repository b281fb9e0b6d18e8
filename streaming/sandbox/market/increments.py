"""Prices and quantities as whole numbers of a pair's increments: exact, small, and quick to compare."""

from decimal import ROUND_HALF_EVEN, Decimal
from math import nan

from trading.errors import InvalidValue

MAX_INCREMENTS = 10**18  # increments: fits into 64 bits, and its decimals into the context's 28 digits
# A quotient of doubles is off by at most three roundings of 2**-53 each: below SURE that is less than 0.006, so that
# what lies closer than NOT_TIED to a whole number is rounded to it by exact arithmetic as well.
SURE, NOT_TIED = 2.0**44, 0.49
TINY = Decimal("1e-300")  # increments that are not, as doubles, what they are


class Increments:
    """Counts of one increment. `what` names it in errors: "BTC/USDT price"."""

    def __init__(self, step: Decimal, what: str) -> None:
        if not (step.is_finite() and step > 0):
            raise InvalidValue(f"the increment of {what} is {step}: it must be above zero")
        self.step = step
        exponent = step.as_tuple().exponent
        assert isinstance(exponent, int)  # of a finite number
        self.decimals = max(-exponent, 0)
        self._numerator = int(step.scaleb(self.decimals))  # increments in units of the last decimal
        self._largest = step * MAX_INCREMENTS
        self._rough = float(step) if step > TINY else nan
        self._what = what

    def count(self, amount: Decimal) -> int:
        """Count increments. InvalidValue unless `amount` is a multiple of the increment above zero."""
        if not (amount.is_finite() and 0 < amount <= self._largest):
            raise InvalidValue(
                f"{self._what} {amount}: it must be above zero and at most {MAX_INCREMENTS} increments"
            )
        count = int(amount / self.step)
        if count * self.step != amount:
            raise InvalidValue(f"{self._what} {amount} is not a multiple of its increment {self.step}")
        return count

    def nearest(self, amount: Decimal | float) -> int:
        """Return the nearest count, ties to even; may be 0. InvalidValue for what is not a number or too large."""
        if isinstance(amount, float):
            count = amount / self._rough
            if 0 <= count < SURE and abs(count - (whole := round(count))) < NOT_TIED:
                return whole
        exact = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
        if not (exact.is_finite() and 0 <= exact <= self._largest):
            raise InvalidValue(f"{self._what} {amount}: it must be from zero to {MAX_INCREMENTS} increments")
        return int((exact / self.step).to_integral_value(ROUND_HALF_EVEN))

    def amount(self, count: int) -> Decimal:
        return count * self.step

    def mean(self, weighted: int, weight: int) -> Decimal:
        """Return weighted / weight increments, rounded once, half up, to the increment's decimals; 0 without weight."""
        if not weight:
            return Decimal(0).scaleb(-self.decimals)
        ticks = (2 * weighted * self._numerator + weight) // (2 * weight)
        return Decimal(ticks).scaleb(-self.decimals)
