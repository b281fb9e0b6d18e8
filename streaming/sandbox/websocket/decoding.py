"""Parameters of a request decoded into typed structs, or refused in Kraken's words."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from streaming.sandbox.limits import MAX_AMOUNT, is_amount
from streaming.sandbox.model import Refused

Params = Mapping[str, Any]
Value = TypeVar("Value")
Fields = TypeVar("Fields", bound=msgspec.Struct)

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")
_NUMBER = re.compile(r"[+-]?\d{1,16}(\.\d{1,18})?", re.ASCII)
_FIELD = re.compile(r"`(?:\$\.)?(\w+)[^`]*`$")  # at the end of what msgspec says
_ANY_CASE = frozenset(
    [
        "order_type",
        "side",
        "time_in_force",
        "limit_price_type",
        "trigger_price_type",
        "price_type",
        "reference",
        "fee_preference",
        "stp_type",
        "event_trigger",
    ]
)


class Decoded(Generic[Value]):
    """A field that msgspec cannot check by itself."""

    def __init__(self, value: Value) -> None:
        self.value = value


class Amount(Decoded[Decimal]):
    """A price or quantity. Kraken takes JSON numbers alone, but clients send text too, and it means the same."""


class PositiveAmount(Amount):
    """An amount above zero."""


class Timestamp(Decoded[datetime]):
    """RFC 3339 with a zone, turned into UTC; digits beyond microseconds are cut off."""


class Unsupported:
    """A field of Kraken's that the sandbox refuses: an order must not do something else than what was asked for."""


class NotEditable:
    """A field that edit_order only accepts when it is empty, zero or false."""


def invalid(name: str) -> Refused:
    return Refused(f"EGeneral:Invalid arguments:{name}")


def check_known(params: Params, allowed: Iterable[str], message_type: str) -> None:
    """Raise Refused, as Kraken does, for the first field that this kind of message does not have."""
    allowed = frozenset(allowed)
    for name in params:
        if name not in allowed:
            raise Refused(f"Unsupported field: '{name}' for the given msg type: {message_type}")


def decode(params: Params, fields: type[Fields], message_type: str) -> Fields:
    """Decode all parameters. Raise Refused for one that is unknown, missing or not of its type."""
    check_known(params, fields.__struct_encode_fields__, message_type)
    return convert(params, fields)


def convert(params: Params, fields: type[Fields], errors: Mapping[str, str] | None = None) -> Fields:
    """Decode the parameters that `fields` has. `errors`: what to answer for some of them, by name."""
    lowered = {
        name: value.lower() if name in _ANY_CASE and isinstance(value, str) else value
        for name, value in params.items()
    }
    try:
        return msgspec.convert(lowered, fields, dec_hook=_decode_value)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        name = found[1] if found else ""
        raise Refused(errors[name]) if errors and name in errors else invalid(name) from None


def _decode_value(kind: type, value: Any) -> Any:
    """Raise ValueError, which msgspec completes with the name of the field."""
    if issubclass(kind, Amount):
        return _amount(kind, value)
    if kind is Timestamp and isinstance(value, str) and _TIME.fullmatch(value):
        return _timestamp(value)
    if kind is NotEditable and not value:
        return NotEditable()
    raise ValueError("not allowed")


def _amount(kind: type[Amount], value: object) -> Amount:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("not a number")
    if isinstance(value, int) and abs(value) > MAX_AMOUNT:
        raise ValueError("too large")
    amount = Decimal(value)  # type: ignore[arg-type]
    if not is_amount(amount) or (kind is PositiveAmount and amount <= 0):
        raise ValueError("not an amount")
    return kind(amount)


def _timestamp(text: str) -> Timestamp:
    try:
        return Timestamp(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC))
    except OverflowError as error:
        raise ValueError("outside the calendar") from error
