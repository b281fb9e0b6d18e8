"""Numbers and times of Kraken that have to be exact. Each function raises InvalidValue."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from trading.errors import InvalidValue

ZERO = Decimal(0)
LEAST, MOST = Decimal("1E-18"), Decimal("1E+18")
FINEST = -30  # decimals; beyond, a number written out would be longer than any message


def exact(number: object, name: str) -> Decimal:
    """The decimal as the wire has it; only a number of sensible size will do."""
    if type(number) is int:
        number = Decimal(number)
    if type(number) is not Decimal:
        raise InvalidValue(f"{name} is {ascii(number)[:60]}: a number is expected")
    if not number:
        return ZERO  # in one spelling: 0E-999999999 written out would not fit into memory
    exponent = number.as_tuple().exponent
    if not (isinstance(exponent, int) and exponent >= FINEST and abs(number) <= MOST):
        raise InvalidValue(f"{name} is {str(number)[:60]}: beyond any market")
    return number


def positive(number: object, name: str) -> Decimal:
    value = exact(number, name)
    if value <= 0:
        raise InvalidValue(f"{name} is {value}: it must be above zero")
    return value


def not_negative(number: object, name: str) -> Decimal:
    value = exact(number, name)
    if value < 0:
        raise InvalidValue(f"{name} is {value}: it cannot be below zero")
    return value


def given(read: Callable[[object, str], Decimal], number: object, name: str) -> Decimal | None:
    """None where Kraken leaves the number out."""
    return None if number is None else read(number, name)


def utc(at: datetime) -> datetime:
    """Kraken writes every time with a Z; an offset is refused instead of guessed at."""
    if at.tzinfo is not UTC:
        raise InvalidValue(f"{at.isoformat()} is not UTC")
    return at
