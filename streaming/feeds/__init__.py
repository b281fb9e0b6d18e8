"""Streams of venues, one per file: frames to events and subscriptions to frames. Pure: no socket, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from streaming.events import Event, Subscription


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """What the venue asks of those who connect, and how long it may be silent."""

    attempts: int  # connections in `window`, ours in all processes together
    window: timedelta
    silence: timedelta  # without any frame: the connection is dead
    first_pause: timedelta  # before the second attempt; doubles from there, with jitter
    longest_pause: timedelta
    maintenance_pause: timedelta  # least pause when the venue said that it is not online


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
        """Frames to send. InvalidValue for a channel, depth or timeframe that the venue does not have."""

    def unsubscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]: ...

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        """Events in the order of the frame. InvalidMessage, changing nothing, when any part of it is wrong.

        Of listings, which come by the thousand, an odd one is left out and told as `Unreadable`.
        """

    def restart(self) -> None:
        """Forget what the last connection taught (partial frames that are merged): a new one begins."""
