"""The parameters of a REST request: every value is of its type, or the request is refused in Kraken's words.

Form-encoded and JSON bodies read alike: `close[price]` of the one is {"close": {"price": ...}} of the other.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from streaming.sandbox.limits import is_amount
from streaming.sandbox.model import Refused

Word = TypeVar("Word", bound=StrEnum)

LISTS = frozenset({"orders", "cl_ord_ids"})  # of the batches
MAX_LENGTH = 4000  # characters of one value: fifty ids
_NUMBER = re.compile(r"[+-]?(\d{1,16}(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0", ""})


def invalid(name: str) -> Refused:
    return Refused(f"EGeneral:Invalid arguments:{name[:40]}")


class Parameters:
    """Fields by name. Asking for one that is there but cannot be what is asked for is refused."""

    def __init__(self, values: Mapping[str, str], lists: Mapping[str, list[Any]] | None = None) -> None:
        """Take the fields; `lists` are those of a JSON body that are lists."""
        self._values = values
        self._lists = lists or {}

    @classmethod
    def of_query(cls, query: str) -> "Parameters":
        return cls(_parse_form(query))

    @classmethod
    def of_body(cls, body: bytes, is_json: bool) -> "Parameters":
        """Read a body; raise Refused when it is not UTF-8 or JSON, or has lists and objects where none belong."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise Refused("EGeneral:Invalid arguments") from None
        if not is_json:
            return cls(_parse_form(text))
        values = _parse_json(text)
        lists = {name: value for name, value in values.items() if name in LISTS and isinstance(value, list)}
        return cls(_flatten({name: it for name, it in values.items() if name not in lists}), lists)

    def __iter__(self) -> Iterator[str]:
        """Names of the fields that are given."""
        return (name for name, value in {**self._values, **self._lists}.items() if value)

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name) or self._lists.get(name))

    def text(self, name: str, default: str = "") -> str:
        """Return the text of a field; an empty value counts as not given."""
        value = self._values.get(name) or default
        if len(value) > MAX_LENGTH or "\x00" in value:
            raise invalid(name)
        return value

    def required(self, name: str) -> str:
        if not (value := self.text(name)):
            raise invalid(name)
        return value

    def choice(self, name: str, allowed: type[Word], default: Word | None = None) -> Word:
        value = self.text(name)
        if not value and default is not None:
            return default
        for word in allowed:
            if value.lower() == word.value.lower():
                return word
        raise invalid(name)

    def one_of(self, name: str, allowed: Iterable[str], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise invalid(name)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._values.get(name, str(default)).lower()
        if value not in _YES | _NO:
            raise invalid(name)
        return value in _YES

    def integer(self, name: str, minimum: int, maximum: int, default: int | None = None) -> int:
        value = self.text(name)
        if not value and default is not None:
            return default
        if not _WHOLE.fullmatch(value) or not minimum <= int(value) <= maximum:
            raise invalid(name)
        return int(value)

    def amount(self, name: str) -> Decimal | None:
        """Parse an amount; None when it is not given."""
        return parse_amount(value, name) if (value := self.text(name)) else None

    def time(self, name: str) -> datetime | None:
        """Read RFC 3339, UTC without a zone, digits beyond microseconds cut off. Return None when not given."""
        if not (value := self.text(name)):
            return None
        if not _TIME.fullmatch(value):
            raise invalid(name)
        try:
            time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            raise invalid(name) from None

    def epoch_time(self, name: str) -> datetime | None:
        """Read seconds since 1970. Return None when not given."""
        seconds = self.amount(name)
        return None if seconds is None else parse_epoch_time(seconds, name)

    def id_list(self, name: str, maximum: int) -> tuple[str, ...]:
        """Split at commas; each id comes once; empty when not given."""
        found = tuple(dict.fromkeys(one.strip() for one in self.text(name).split(",") if one.strip()))
        if len(found) > maximum:
            raise invalid(name)
        return found

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names in a list of a JSON body; empty when not given."""
        return tuple(dict.fromkeys(_scalar(name, one) for one in self._lists.get(name, ())))

    def parts(self, name: str, **shared: str) -> list["Parameters"]:
        """Return the objects in a list of a JSON body, each with the `shared` fields besides."""
        given = self._lists.get(name, [])
        if not all(isinstance(one, dict) for one in given):
            raise invalid(name)
        return [Parameters({**_flatten(one), **shared}) for one in given]


def parse_amount(text: str, name: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise invalid(name)
    amount = Decimal(text)
    if not is_amount(amount):
        raise invalid(name)
    return amount


def parse_epoch_time(seconds: Decimal, name: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        raise invalid(name) from None


def _parse_form(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError:  # a broken escape, or far too many fields
        raise Refused("EGeneral:Invalid arguments") from None


def _parse_json(text: str) -> dict[str, Any]:
    try:
        # Numbers stay as they are written: 0.1 is 0.1, and a nonce keeps all its digits.
        value = json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused("EGeneral:Invalid arguments") from None
    if not isinstance(value, dict):
        raise Refused("EGeneral:Invalid arguments")
    return value


def _refuse_constant(_: str) -> str:
    raise Refused("EGeneral:Invalid arguments")  # NaN and Infinity are no JSON


def _flatten(values: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update({f"{name}[{inner}]": _scalar(inner, it) for inner, it in value.items()})
        else:
            flat[name] = _scalar(name, value)
    return flat


def _scalar(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or not value.isprintable():
        raise invalid(name)
    return value
