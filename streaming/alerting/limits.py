"""How many alerts one messenger gets."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AlertLimits:
    """The rules of `[alerts]`. `kinds` are limits per minute of single kinds, 0 for one that is never sent."""

    min_severity: str  # info | warning | error
    per_minute: int  # of all kinds
    per_kind: int  # and minute
    repeat_seconds: float  # in which the same alert is only counted
    late_seconds: float  # after which an alert is not sent by itself any more
    kinds: Mapping[str, int] = field(default_factory=dict)

    def per_minute_of(self, kind: str) -> int:
        return self.kinds.get(kind, self.per_kind)
