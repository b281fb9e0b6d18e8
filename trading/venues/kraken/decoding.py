"""From the bytes of an answer to typed values: numbers are exact, and nothing that is not a plain number gets in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec

from trading.errors import InvalidMessage

Answer = TypeVar("Answer")

LARGEST = 24  # decimal digits before the point and after it that an amount or a price can have
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NANOSECONDS = 10**9
LAST_SECOND = 253_402_300_800  # 10000-01-01


class Envelope(msgspec.Struct, frozen=True):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def errors(self) -> list[str]:
        """Without warnings, which begin with W."""
        return [words for words in self.error if not words.startswith("W")]


def envelope(method: str, body: bytes) -> Envelope:
    """InvalidMessage for JSON of another shape."""
    return _decoded(method, body, Envelope)


def whole(body: bytes) -> bool:
    """Whether this is JSON at all, and not the beginning of some or a page for people."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        body.decode("utf-8")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return bool(body.strip())


def answer(method: str, raw: bytes | msgspec.Raw, kind: type[Answer]) -> Answer:
    """InvalidMessage naming the method and the field for anything that is not of this kind."""
    decoded = _decoded(method, raw, kind)
    _check_numbers(method, decoded)
    return decoded


def _decoded(method: str, raw: bytes | msgspec.Raw, kind: type[Answer]) -> Answer:
    try:
        decoded: Answer = _decoder(kind).decode(raw)  # type: ignore[arg-type]  # typeshed's cache doubts that types are hashable
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError) as error:
        raise InvalidMessage(f"Kraken {method}", str(error)) from error
    return decoded


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _check_numbers(method: str, value: object) -> None:
    if isinstance(value, Decimal):
        if not (value.is_finite() and plain(value)):
            raise InvalidMessage(
                f"Kraken {method}", f"{str(value)[:40]} is not a number that a venue reports"
            )
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check_numbers(method, getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            _check_numbers(method, each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_numbers(method, each)


def plain(value: Decimal) -> bool:
    """Arithmetic with other numbers would not be exact, or not end."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -LARGEST and value.adjusted() <= LARGEST


def moment(method: str, seconds: Decimal) -> datetime:
    """A time of Kraken, seconds since 1970 with decimals, cut to the microsecond it lies in."""
    return EPOCH + timedelta(microseconds=nanoseconds(method, seconds) // 1000)


def nanoseconds(method: str, seconds: Decimal) -> int:
    if not 0 <= seconds < LAST_SECOND:
        raise InvalidMessage(f"Kraken {method}", f"{seconds} is not a time")
    return int(seconds * NANOSECONDS)
