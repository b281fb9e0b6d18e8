"""What a command prints for programs: JSON that every parser reads."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

OPTIONS = ("--json", "--jsonl")


def asks_for_json(arguments: Iterable[str]) -> bool:
    return any(word in OPTIONS for word in arguments)


def as_json_line(value: Any) -> str:
    """Write one document on one line: times as RFC 3339, decimals as text, what is not a finite number as null."""
    return json.dumps(_finite(value), default=_text, allow_nan=False) + "\n"


def print_json(value: Any) -> None:
    sys.stdout.write(as_json_line(value))


def write_line(line: str) -> None:
    """Write a line that its reader gets at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity; Python would write them all the same."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
