"""Inputs and outputs of a session beside the venue's own events."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from streaming.events import Channel, Event, Level, UnknownInterval
from trading.market import Pair


class Moment(NamedTuple):
    """`seconds` never go back and count only while somebody listens; `at` is our clock's UTC."""

    seconds: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The channel's state is unknown from `since` until `Restored`. Its order book must not be used any more."""

    channel: Channel
    pair: Pair | None
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The channel delivers again. What was missed, if anything, was reported as `UnknownInterval`."""

    channel: Channel
    pair: Pair | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The venue does not offer this now. It is requested again later, and a further refusal is reported again."""

    channel: Channel
    pair: Pair | None
    reason: str


@dataclass(frozen=True, slots=True)
class TopOfBook:
    """Best bid and ask of a verified book, sent each time they change; None where a side is empty."""

    pair: Pair
    bid: Level | None
    ask: Level | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """There is no connection; the next attempt begins in `pause` seconds."""

    reason: str
    pause: float


SessionEvent = (
    Event | UnknownInterval | Interrupted | Restored | SubscriptionRefused | TopOfBook | Reconnecting
)


@dataclass(frozen=True, slots=True)
class RejectedFrame:
    """A frame that could not be read or believed; `channel` is empty where even that could not be read."""

    frame: str | bytes
    channel: str
    reason: str


class CloseKind(Enum):
    """What closing a connection means for the next one."""

    RETRY = "retry"  # another connection may do better
    REFUSED = "refused"  # the venue offers nothing of what was requested
    NOT_AUTHORISED = "not authorised"  # the venue does not accept the key


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """The connection has to be closed."""

    reason: str
    kind: CloseKind = CloseKind.RETRY


@dataclass(slots=True)
class SessionOutput:
    """What one input led to, each list in order."""

    events: list[SessionEvent] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)  # to send
    rejected: list[RejectedFrame] = field(default_factory=list)
    close: CloseRequest | None = None

    def request_close(self, reason: str, kind: CloseKind = CloseKind.RETRY) -> None:
        """Ask for the connection to be closed; the first reason stands."""
        if self.close is None:
            self.close = CloseRequest(reason, kind)
