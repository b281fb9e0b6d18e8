"""Numbers in metadata with as many digits as a person reads; what is stored keeps them all."""

from collections.abc import Mapping
from typing import Any

DIGITS = 4  # of a number below 100, where the leading ones count
LARGE = 100  # from here on two digits behind the point


def readable(value: Any) -> Any:
    """Round every float, also inside mappings and lists; other values stay as they are."""
    if isinstance(value, float):
        return round(value, 2) if abs(value) >= LARGE else float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: readable(each) for name, each in value.items()}
    return [readable(each) for each in value] if isinstance(value, list) else value
