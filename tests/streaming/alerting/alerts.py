"""Alerts for tests."""

from datetime import UTC, datetime

from streaming.alerting.limits import AlertLimits
from streaming.messages import AlertMessage

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = AlertLimits(
    min_severity="info",
    per_minute=6,
    per_kind=3,
    repeat_seconds=900,
    late_seconds=600,
    kinds={"fill": 5, "lag": 0},
)


def alert(
    text: str = "a gap", kind: str = "gap", severity: str = "warning", about: str = "", at: datetime = AT
) -> AlertMessage:
    return AlertMessage(
        source="stream", kind=kind, severity=severity, text=text, pair=None, at=at, about=about
    )
