"""Values as plain JSON, and the bytes that digests are computed from."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import orjson


def values_sha256(values: Mapping[str, Any]) -> str:
    """Hash the canonical bytes of the values."""
    return hashlib.sha256(canonical_bytes(values)).hexdigest()


def canonical_bytes(values: Mapping[str, Any]) -> bytes:
    """Encode as JSON with sorted keys: the bytes that hashes are computed from."""
    return orjson.dumps(to_json_value(values), option=orjson.OPT_SORT_KEYS)


def to_json_value(value: Any) -> Any:
    """Convert to plain JSON: decimals to text, times to ISO 8601, enums to their value, pairs as people write them."""
    if isinstance(value, Mapping):
        return {str(key): to_json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json_value(each) for each in value]
    if isinstance(value, bool | int | float | None):
        return value if not isinstance(value, float) or np.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if not isinstance(value, np.generic) else to_json_value(value.item())
