"""Fields of a request, read one by one: each is of its type or the request is refused in Kraken's words."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from streaming.sandbox.limits import LARGEST, is_amount, is_client_order_id
from streaming.sandbox.model import Refused

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")

Params = Mapping[str, Any]


def invalid(name: str) -> Refused:
    return Refused(f"EGeneral:Invalid arguments:{name}")


def known(params: Params, allowed: Iterable[str], message_type: str) -> None:
    """Refused, as Kraken does, for the first field that this kind of message does not have."""
    allowed = frozenset(allowed)
    for name in params:
        if name not in allowed:
            raise Refused(f"Unsupported field: '{name}' for the given msg type: {message_type}")


def text(params: Params, name: str, default: str = "") -> str:
    value = params.get(name, default)
    if not isinstance(value, str):
        raise invalid(name)
    return value


def choice(params: Params, name: str, allowed: Iterable[str], default: str | None = None) -> str:
    value = params.get(name, default)
    if not isinstance(value, str) or value.lower() not in allowed:
        raise invalid(name)
    return value.lower()


def flag(params: Params, name: str, default: bool = False) -> bool:
    value = params.get(name, default)
    if not isinstance(value, bool):
        raise invalid(name)
    return value


def whole(params: Params, name: str, least: int, most: int, default: int | None = None) -> int:
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(name)
    return value


def number(params: Params, name: str) -> Decimal | None:
    """None when it is not there. Kraken takes JSON numbers alone, but clients send text too, and it means the same."""
    if name not in params:
        return None
    value = params[name]
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise invalid(name)
    return exact(value, name)


def exact(value: int | Decimal | str, name: str) -> Decimal:
    if isinstance(value, str) and not re.fullmatch(r"[+-]?\d{1,16}(\.\d{1,18})?", value, re.ASCII):
        raise invalid(name)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise invalid(name)
    amount = Decimal(value)
    if not is_amount(amount):
        raise invalid(name)
    return amount


def texts(params: Params, name: str, most: int) -> tuple[str, ...]:
    """A list of texts without repetitions; empty when it is not there."""
    value = params.get(name, [])
    if not isinstance(value, list) or len(value) > most or not all(isinstance(one, str) for one in value):
        raise invalid(name)
    return tuple(dict.fromkeys(value))


def time(params: Params, name: str) -> datetime | None:
    """RFC 3339 with a zone, in UTC; None when it is not there. Digits beyond microseconds are cut off."""
    if name not in params:
        return None
    value = params[name]
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise invalid(name)
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(name) from None


def client_order_id(params: Params) -> str:
    """Empty when it is not there."""
    value = text(params, "cl_ord_id")
    if "cl_ord_id" in params and not is_client_order_id(value):
        raise invalid("cl_ord_id")
    return value
