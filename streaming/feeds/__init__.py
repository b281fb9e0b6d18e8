"""Streams of venues, one folder each: frames to events and subscriptions to frames. Pure: no socket, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from streaming.events import Event, Subscription


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """The venue's limits for connections, and how long it may be silent."""

    max_attempts: int  # connections in `window`, ours in all processes together
    window: timedelta
    silence_timeout: timedelta  # without any frame: the connection is dead
    first_pause: timedelta  # before the second attempt; doubles from there, with jitter
    max_pause: timedelta
    maintenance_pause: timedelta  # minimum when the venue reported that it is not online


class Feed(Protocol):
    """One venue's streaming protocol."""

    @property
    def venue(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def rules(self) -> ConnectionRules: ...

    def prepare(self) -> None:
        """Fetch what a new connection needs (a token); may block. MarketloomError when it cannot."""

    def subscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        """Return frames to send. InvalidValue for a channel, depth or timeframe that the venue does not have."""

    def unsubscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]: ...

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        """Return the events in the order of the frame. InvalidMessage, changing nothing, when any part is wrong.

        Of listings, which come by the thousand, a wrong one becomes an `UnreadableMessage` and the others stay.
        """

    def reset(self) -> None:
        """Forget the state of the last connection (partial frames that are merged): a new one begins."""
