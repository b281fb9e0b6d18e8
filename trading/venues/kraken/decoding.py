"""Decodes the bytes of a response to typed values: numbers are exact, and what is not a plain number is refused."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec

from trading.errors import InvalidMessage
from trading.market import EPOCH

Response = TypeVar("Response")

MAX_DIGITS = 24  # decimal digits before the point and after it that an amount or a price can have
NANOSECONDS = 10**9
END_OF_TIME = 253_402_300_800  # 10000-01-01 in seconds since 1970


class Envelope(msgspec.Struct, frozen=True):
    """The outer layer of every response."""

    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def errors(self) -> list[str]:
        """The errors without the warnings, which begin with W."""
        return [text for text in self.error if not text.startswith("W")]


def decode_envelope(method: str, body: bytes) -> Envelope:
    """Decode the outer layer of a response. InvalidMessage for JSON of another shape."""
    return _decode(method, body, Envelope)


def is_complete_json(body: bytes) -> bool:
    """Tell JSON from the beginning of some, and from a page for people."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        body.decode("utf-8")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return bool(body.strip())


def decode_result(method: str, raw: bytes | msgspec.Raw, kind: type[Response]) -> Response:
    """Decode a result. InvalidMessage naming the method and the field for anything that is not of this kind."""
    decoded = _decode(method, raw, kind)
    _check_numbers(method, decoded)
    return decoded


def _decode(method: str, raw: bytes | msgspec.Raw, kind: type[Response]) -> Response:
    try:
        decoded: Response = _decoder(kind).decode(raw)  # type: ignore[arg-type]  # typeshed's cache doubts that types are hashable
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError) as error:
        raise InvalidMessage(f"Kraken {method}", str(error)) from error
    return decoded


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _check_numbers(method: str, value: object) -> None:
    if isinstance(value, Decimal):
        if not (value.is_finite() and _is_exact(value)):
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


def _is_exact(value: Decimal) -> bool:
    """Arithmetic of longer numbers with others would not be exact, or not end."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MAX_DIGITS and value.adjusted() <= MAX_DIGITS


def to_datetime(method: str, seconds: Decimal) -> datetime:
    """Convert a time of Kraken, seconds since 1970 with decimals; cut to the microsecond it lies in."""
    return EPOCH + timedelta(microseconds=to_nanoseconds(method, seconds) // 1000)


def to_nanoseconds(method: str, seconds: Decimal) -> int:
    """Convert a time of Kraken to nanoseconds since 1970. InvalidMessage outside the years 1970 to 9999."""
    if not 0 <= seconds < END_OF_TIME:
        raise InvalidMessage(f"Kraken {method}", f"{seconds} is not a time")
    return int(seconds * NANOSECONDS)
