"""Arithmetic on amounts of money: sums and products never round, a division rounds once, where it says so.

An amount has at most some 20 digits before and 30 after its point; the product of two is 100 digits long, and
valuing it at a rate of 50 digits makes 150. With 160 digits sums and products of what a venue can report are
exact. Should one ever not be, it raises instead of rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)

from trading.errors import InvalidValue

DIGITS = 160
QUOTIENT_DIGITS = 50  # of a division that is not a split: an average price, a rate
SMALLEST_SPLIT = Decimal("1e-30")  # a sum is split at this place; what one part lacks, the other has

TRAPS = [Overflow, InvalidOperation, DivisionByZero]
EXACT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[Inexact, *TRAPS])
ROUNDED = Context(prec=QUOTIENT_DIGITS, rounding=ROUND_HALF_EVEN, traps=TRAPS)
SPLITTING = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=TRAPS)


@contextmanager
def exactly() -> Iterator[None]:
    """Make sums and products inside exact, or raise InvalidValue."""
    try:
        with localcontext(EXACT):
            yield
    except (Inexact, InvalidOperation):
        raise InvalidValue(
            f"an amount needs more than {DIGITS} digits: no venue reports such a number"
        ) from None


def divide(amount: Decimal, by: Decimal) -> Decimal:
    """Return the quotient, to 50 digits."""
    return ROUNDED.divide(amount, by)


def pro_rata(amount: Decimal, taken: Decimal, whole: Decimal) -> Decimal:
    """Return the part of `amount` that belongs to `taken` out of `whole`, to 30 places; all of it if they are equal."""
    if taken == whole:
        return amount
    share = SPLITTING.divide(SPLITTING.multiply(amount, taken), whole)
    return share.quantize(SMALLEST_SPLIT, context=SPLITTING)


def trim_zeros(amount: Decimal) -> Decimal:
    """Return the same number without the zeros that a split leaves behind its point."""
    whole = amount.to_integral_value(context=SPLITTING)
    return whole.quantize(Decimal(1), context=SPLITTING) if amount == whole else amount.normalize(SPLITTING)


def check_amount(name: str, amount: Decimal) -> Decimal:
    """Return the amount if it is a number that is not below zero; raise InvalidValue naming it otherwise."""
    if not (amount.is_finite() and amount >= 0):
        raise InvalidValue(f"{name} is {amount}: a number of 0 or more is wanted")
    return amount


def check_positive(name: str, amount: Decimal) -> Decimal:
    """Return the amount if it is a number above zero; raise InvalidValue naming it otherwise."""
    if not (amount.is_finite() and amount > 0):
        raise InvalidValue(f"{name} is {amount}: a number above zero is wanted")
    return amount
