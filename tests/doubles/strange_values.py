"""Values of every kind that a careless caller could hand over, one of which fails at whatever is done with it."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from trading.orders import Side


class Hostile(float):
    """A number that fails at everything that can be done with it."""

    def __str__(self, *_: object) -> str:
        raise RuntimeError("hostile")

    __repr__ = __format__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __str__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


STRANGE: list[Any] = [
    None, "x", "{}", "0.5", "\ud800", b"\xff", [], {}, object(), 10**5000, -1, Fraction(7, 3), 1j, float("inf"),
    np.array([1, 2]), np.float32("nan"), np.int64(3), np.datetime64("NaT"), Decimal("sNaN"),
    Decimal(1).scaleb(900_000), Decimal("1." + "1" * 500), Hostile(2.0), Side.BUY, ("a",), (None,), range(3),
    datetime(2021, 4, 10, tzinfo=UTC),
]  # fmt: skip


def kind(value: object) -> str:
    """Name a value whose text may fail."""
    return type(value).__name__
