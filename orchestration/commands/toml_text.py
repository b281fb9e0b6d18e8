"""Settings as TOML text: what Python's own library reads and does not write."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any


def toml_text(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Write one table per section, everything in it on one line each."""
    sections = []
    for section, content in values.items():
        lines = [f"{_key(key)} = {_value(value)}" for key, value in content.items()]
        sections.append("\n".join([f"[{_key(section)}]", *lines]))
    return "\n\n".join(sections) + "\n"


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)
