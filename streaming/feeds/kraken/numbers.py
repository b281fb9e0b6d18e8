"""Exact numbers and UTC times in Kraken's messages. Each function raises InvalidValue."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from trading.errors import InvalidValue

ZERO = Decimal(0)
MIN_AMOUNT, MAX_AMOUNT = Decimal("1E-18"), Decimal("1E+18")
MIN_EXPONENT = -30  # beyond, a number written out would be longer than any message


def exact_decimal(number: object, name: str) -> Decimal:
    """Return the decimal with the message's digits, if its size is sensible."""
    if type(number) is int:
        number = Decimal(number)
    if type(number) is not Decimal:
        raise InvalidValue(f"{name} is {ascii(number)[:60]}: a number is expected")
    if not number:
        return ZERO  # in one spelling: 0E-999999999 written out would not fit into memory
    exponent = number.as_tuple().exponent
    if not (isinstance(exponent, int) and exponent >= MIN_EXPONENT and abs(number) <= MAX_AMOUNT):
        raise InvalidValue(f"{name} is {str(number)[:60]}: beyond any market")
    return number


def positive(number: object, name: str) -> Decimal:
    """Return the exact decimal of a number above zero."""
    value = exact_decimal(number, name)
    if value <= 0:
        raise InvalidValue(f"{name} is {value}: it must be above zero")
    return value


def not_negative(number: object, name: str) -> Decimal:
    """Return the exact decimal of a number that is not below zero."""
    value = exact_decimal(number, name)
    if value < 0:
        raise InvalidValue(f"{name} is {value}: it cannot be below zero")
    return value


def optional(read: Callable[[object, str], Decimal], number: object, name: str) -> Decimal | None:
    """Read the number; None where Kraken leaves it out."""
    return None if number is None else read(number, name)


def check_utc(at: datetime) -> datetime:
    """Return the time if it is UTC: Kraken writes a Z, and an offset is refused instead of guessed at."""
    if at.tzinfo is not UTC:
        raise InvalidValue(f"{at.isoformat()} is not UTC")
    return at
