"""What takes the reason for a position away before its stop or target: a price, an indicator's value, a time.

An invalidation only ever closes the position that it belongs to. It is data, never text: nobody interprets words.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from trading.errors import InvalidValue

INVALIDATED = "invalidated"  # how the reason of such an exit begins


class InvalidationKind(StrEnum):
    LEVEL = "level"
    INDICATOR = "indicator"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Invalidation:
    """One condition that is checked on every closed candle; only the values of its kind are set."""

    kind: InvalidationKind
    by: str  # the agent that named it
    level: Decimal | None = None  # a close at it, or beyond it on the losing side
    indicator: str = ""  # a feature by its name; while it is not known nothing is said
    above: bool = False  # above `value` closes the position; False: below
    value: float | None = None
    at: datetime | None = None  # the first candle that closes at this time or later

    def __post_init__(self) -> None:
        match self.kind:
            case InvalidationKind.LEVEL:
                sound = self.level is not None and self.level.is_finite() and self.level > 0
            case InvalidationKind.INDICATOR:
                sound = bool(self.indicator) and self.value is not None and math.isfinite(self.value)
            case InvalidationKind.TIME:
                sound = self.at is not None and self.at.tzinfo is not None
        if not sound:
            raise InvalidValue(f"an invalidation by {self.kind} without its own value: {self!r}")

    def __str__(self) -> str:
        match self.kind:
            case InvalidationKind.LEVEL:
                said = f"once a candle closes beyond {self.level}"
            case InvalidationKind.INDICATOR:
                said = f"with {self.indicator} {'above' if self.above else 'below'} {self.value}"
            case InvalidationKind.TIME:
                said = f"at {self.at}"
        return f"{said} ({self.by})"


def invalidation_from(stored: Mapping[str, Any]) -> Invalidation:
    """Return the condition of its plain JSON values."""
    level, at = stored["level"], stored["at"]
    return Invalidation(
        kind=InvalidationKind(stored["kind"]),
        by=stored["by"],
        level=None if level is None else Decimal(level),
        indicator=stored["indicator"],
        above=stored["above"],
        value=stored["value"],
        at=None if at is None else datetime.fromisoformat(at),
    )


def broken_by_candle(
    invalidations: Iterable[Invalidation], sign: int, close: float, close_time: datetime
) -> str:
    """Return why the close of a candle ends a position (sign 1 long, -1 short), by level or time; empty when not.

    A close that is no number says nothing of a level.
    """
    for each in invalidations:
        if each.at is not None and close_time >= each.at:
            return f"{INVALIDATED} ({each.by}): not later than {each.at:%Y-%m-%d %H:%M} UTC"
        if each.level is not None and sign * close <= sign * float(each.level):
            side = "at or below" if sign > 0 else "at or above"
            return f"{INVALIDATED} ({each.by}): closed at {close:g}, {side} {each.level:f}"
    return ""


def broken_by_features(invalidations: Iterable[Invalidation], features: Mapping[str, float | None]) -> str:
    """Return why the features of the newest candle end a position; empty when they do not, or are not known."""
    for each in invalidations:
        value = features.get(each.indicator) if each.indicator else None
        if value is None or each.value is None:
            continue
        if value > each.value if each.above else value < each.value:
            side = "above" if each.above else "below"
            return f"{INVALIDATED} ({each.by}): {each.indicator} is {value:.6g}, {side} {each.value:g}"
    return ""
