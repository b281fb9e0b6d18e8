"""What is wrong with a setting, in plain words: who set it, what it is, and what is allowed."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestration.settings_schema import Settings
from trading.errors import InvalidValue
from trading.market import Pair

# Keys of earlier versions, and where their values are now.
MOVED = {
    "fees_valid_from": "it is `valid_from` of an entry of [[venue.fees]]",
    "taker_fee": "fees are those of [[venue.fees]], `taker` and `maker`, for all pairs",
    "maker_fee": "fees are those of [[venue.fees]], `taker` and `maker`, for all pairs",
    "leverage": "nothing is borrowed, and the rule is gone: take the key out",
    "leverage_volatility": "nothing is borrowed, and the rule is gone: take the key out",
}
MAX_SHOWN = 80  # characters of a wrong value
NUMBERS = {int: "a whole number", float: "a number", Decimal: "a number"}
EXAMPLES = {
    **NUMBERS,
    bool: "true or false",
    str: "text",
    date: "a day such as 2024-01-31",
    datetime: "a UTC time such as 2024-01-31T12:00:00",
    Pair: "a pair such as BTC/USDT",
}


@dataclass(frozen=True, slots=True)
class Sources:
    """Who set a key: the settings file, unless something that lies over it did."""

    file: str
    overrides: dict[str, str] = field(default_factory=dict)  # source by `section.key`

    def add(self, source: str, values: Mapping[str, Any], prefix: str = "") -> None:
        """Note that `source` set every key of the values."""
        for key, value in values.items():
            name = f"{prefix}{key}"
            if isinstance(value, Mapping):
                self.add(source, value, f"{name}.")
            else:
                self.overrides[name] = source

    def of(self, *keys: str) -> str:
        """Name what set the keys, or a part of them: an override where there is one, else the file."""
        found = [source for key in keys for source in self._overriding(key)]
        return " and ".join(dict.fromkeys(found)) or self.file

    def _overriding(self, key: str) -> list[str]:
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            if source := self.overrides.get(".".join(parts[:length])):
                return [source]
        return [source for name, source in self.overrides.items() if name.startswith(f"{key}.")]


def describe_problem(sources: Sources, detail: Any) -> str:
    """Write one problem that pydantic found, none of it in pydantic's words."""
    location = [part for part in detail["loc"] if part != "[key]"]
    names = [str(part) for part in location if not isinstance(part, int)]
    *sections, key = names or ["settings"]
    where = f"[{'.'.join(sections)}] {key}" if sections else f"[{key}]"
    where = f"{sources.of(*_keys_at_fault(names, detail, sources))}: {where}"
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            moved = f" any more: {MOVED[key]}" if key in MOVED else ""
            return f"{where} is not a known key{moved}; known are: {', '.join(_known_keys(sections))}"
        case "missing":
            return f"{where} is missing; the marketloom.toml of this version shows it with its default"
        case "value_error" if isinstance(error := detail["ctx"]["error"], InvalidValue):
            return f"{where}: {error}"
        case "string_too_short" | "too_short" if not detail["input"]:
            return f"{where} is empty: allowed is {_allowed_at(location)}, not empty"
        case _:
            return f"{where} is {shown(detail['input'])}: allowed is {_allowed_at(location)}"


def _keys_at_fault(names: Sequence[str], detail: Any, sources: Sources) -> Iterator[str]:
    """Yield the key, or where a section's keys do not fit together those that the message names."""
    whole = ".".join(names)
    words = str(detail["msg"]).replace(":", " ").replace(",", " ").split()
    inside = [name for name in sources.overrides if name.startswith(f"{whole}.")]
    if detail["type"] == "value_error" and inside:
        for name in inside:
            parts = name.removeprefix(f"{whole}.").split(".")
            # Such as "target of BTC is 2".
            if any(part in words or part.removesuffix("s") in words for part in parts):
                yield name
    else:
        yield whole


def shown(value: Any) -> str:
    """Write a value as TOML does, shortened."""
    special = isinstance(value, float) and not math.isfinite(value)
    text = str(value) if special else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def plain_words(detail: Any) -> str:
    """Write what pydantic found wrong with a word of the command line, of which nothing but the finding is known."""
    kind, limits = detail["type"], detail.get("ctx", {})
    is_whole = kind.startswith("int") or any(isinstance(limit, int) for limit in limits.values())
    number = NUMBERS[int if is_whole else float]
    return f"{shown(detail['input'])} is not possible: allowed is {number}{_range(limits)}"


def _allowed_at(location: Sequence[str | int]) -> str:
    kind: Any = Settings
    for part in location:
        kind = _inside(kind, part)
    return allowed(kind)


def _inside(kind: Any, part: str | int) -> Any:
    """Return the type of a field, with its limits."""
    kind, _ = _split(kind)
    match get_args(kind):
        case (item, *_) if isinstance(part, int):
            return item
        case (_, value):
            return value
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        extra = get_args(get_type_hints(kind, include_extras=True).get("__pydantic_extra__"))
        info = kind.model_fields.get(str(part))
        return Annotated[info.annotation, info] if info else (extra[1] if extra else object)
    return get_type_hints(kind, include_extras=True).get(str(part), object)


def _split(kind: Any) -> tuple[Any, list[Any]]:
    """Part a type from what is annotated, and an optional one from None."""
    if get_origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        base, more = _split(inner)
        return base, [*marks, *more]
    kinds = [each for each in get_args(kind) if each is not NoneType]
    return (kinds[0], []) if NoneType in get_args(kind) else (kind, [])


def allowed(kind: Any) -> str:
    """Say which values a type allows: its own description, or its kind and limits."""
    kind, marks = _split(kind)
    infos = [mark for mark in marks if isinstance(mark, FieldInfo)]
    if description := next((info.description for info in infos if info.description), None):
        return description
    limits = {
        name: getattr(limit, name)
        for limit in [*marks, *(each for info in infos for each in info.metadata)]
        for name in ("ge", "gt", "le", "lt")
        if hasattr(limit, name) and not isinstance(limit, FieldInfo)
    }
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of([each.value for each in kind])
    if get_origin(kind) is tuple:
        return f"a list, each entry {allowed(get_args(kind)[0])}"
    if get_origin(kind) or (is_dataclass(kind) and kind not in EXAMPLES) or _is_model(kind):
        return "a table of keys"
    return f"{EXAMPLES.get(kind, 'another value')}{_range(limits)}"


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _one_of(values: Sequence[Any]) -> str:
    return f"one of {', '.join(map(str, values))}"


def _range(limits: Mapping[str, Any]) -> str:
    """Write limits like " from 1 to 65535" or " above 0.5 and below 1"."""
    if {"ge", "le"} <= limits.keys():
        return f" from {limits['ge']} to {limits['le']}"
    words = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}
    found = [f"{word} {limits[name]}" for name, word in words.items() if name in limits]
    return f" {' and '.join(found)}" if found else ""


def _known_keys(sections: Sequence[str]) -> list[str]:
    kind, _ = _split(Settings)
    for section in sections:
        kind, _ = _split(_inside(kind, section))
    return sorted(getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {}))
