"""Decides which alerts a person gets: few enough to be read, no repeats, and what is left out is summed up."""

import math
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from streaming.alerting.limits import AlertLimits
from streaming.messages import AlertMessage

WINDOW = 60.0  # seconds in which messages are counted, and after which what was held back is summed up
MAX_KINDS = 20  # of which a summary has a line each; further ones share one
OTHER = "other"
SUMMARY = "summary"
MAX_NEWEST = 200  # characters of the newest alert that a summary quotes
RANKS = {"info": 0, "warning": 1, "error": 2}
_NUMBER = re.compile(r"\d+([.,:]\d+)*")


class Verdict(Enum):
    SEND = auto()
    REPEATED = auto()  # counted, and said with the next one of its kind
    HELD_BACK = auto()  # until the next summary
    LEFT_OUT = auto()  # nobody wants it


@dataclass(slots=True)
class _HeldBack:
    since: datetime
    severity: str
    count: int = 0
    newest: str = ""


class AlertFilter:
    """Counts what was sent. `judge` asks and changes nothing; `note` says what was done.

    `now` is monotonic, in seconds. What it remembers is bounded by the limits, whatever comes.
    """

    def __init__(self, limits: AlertLimits) -> None:
        self._limits = limits
        self._sent: deque[tuple[float, str]] = deque()  # within the window, with their kinds
        self._told: dict[object, float] = {}  # when, of what must not be repeated yet
        self._repeats: dict[object, int] = {}
        self._held: dict[str, _HeldBack] = {}
        self._held_at = math.inf

    @property
    def holds(self) -> bool:
        """Return whether something waits for a summary."""
        return bool(self._held)

    def judge(self, alert: AlertMessage, age: float, now: float) -> Verdict:
        """Decide on an alert that was published `age` seconds ago."""
        limits = self._limits
        limit = limits.per_minute_of(alert.kind)
        if _rank(alert.severity) < _rank(limits.min_severity) or limit == 0:
            return Verdict.LEFT_OUT
        if now - self._told.get(_subject(alert), -math.inf) < limits.repeat_seconds:
            return Verdict.REPEATED
        kinds = [kind for at, kind in self._sent if now - at < WINDOW]
        full = len(kinds) >= limits.per_minute or kinds.count(alert.kind) >= limit
        return Verdict.HELD_BACK if full or age > limits.late_seconds else Verdict.SEND

    def note(self, alert: AlertMessage, verdict: Verdict, now: float) -> None:
        """Remember what was done with the alert; SEND once it has been sent."""
        self._forget(now)
        subject = _subject(alert)
        match verdict:
            case Verdict.SEND:
                self._sent.append((now, alert.kind))
                self._told[subject] = now
                self._repeats.pop(subject, None)
            case Verdict.REPEATED:
                self._repeats[subject] = self._repeats.get(subject, 0) + 1
            case Verdict.HELD_BACK:
                self._hold(alert, now)
            case Verdict.LEFT_OUT:
                pass

    def repeats(self, alert: AlertMessage) -> int:
        """Return how often the same was only counted since it was sent."""
        return self._repeats.get(_subject(alert), 0)

    def summary(self, now: float, at: datetime) -> AlertMessage | None:
        """Return what was held back as one message, a minute after the first of it; None before, or with nothing."""
        if now - self._held_at < WINDOW or not self._held:
            return None
        lines = [
            f"{each.count} more of kind {kind} since {each.since:%d %b %H:%M} UTC, the newest: {each.newest}"
            for kind, each in self._held.items()
        ]
        severity = max((each.severity for each in self._held.values()), key=_rank)
        return AlertMessage(
            source="alerts", kind=SUMMARY, severity=severity, text="\n".join(lines), pair=None, at=at
        )

    def note_summary(self) -> None:
        """Forget what was held back: the summary has been sent."""
        self._held.clear()
        self._held_at = math.inf

    def _hold(self, alert: AlertMessage, now: float) -> None:
        if not self._held:
            self._held_at = now
        kind = alert.kind if alert.kind in self._held or len(self._held) < MAX_KINDS else OTHER
        held = self._held.setdefault(kind, _HeldBack(alert.at, alert.severity))
        held.count += 1
        held.since = min(held.since, alert.at)
        held.severity = max(held.severity, alert.severity, key=_rank)
        held.newest = alert.text[:MAX_NEWEST]

    def _forget(self, now: float) -> None:
        while self._sent and now - self._sent[0][0] >= WINDOW:
            self._sent.popleft()
        # A count of repeats outlives its quiet time: the next one of its kind says it, or nothing ever does.
        quiet = [each for each, at in self._told.items() if now - at >= 2 * self._limits.repeat_seconds]
        for subject in quiet:
            del self._told[subject]
            self._repeats.pop(subject, None)


def _rank(severity: str) -> int:
    """Order severities; one that nobody knows is not hidden from anybody."""
    return RANKS.get(severity, max(RANKS.values()))


def _subject(alert: AlertMessage) -> object:
    """Return what the alert tells of: of two with the same one, the second tells nothing new."""
    return alert.about or (alert.source, alert.kind, alert.pair, _NUMBER.sub("#", alert.text))
