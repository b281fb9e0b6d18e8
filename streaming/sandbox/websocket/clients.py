"""One connection as the hub knows it, and the last step of every frame: through the faults, onto the wire."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streaming.sandbox.faults import FaultKind, Faults
from streaming.sandbox.faults.frames import ConnectionFaults
from streaming.sandbox.faults.requests import skips_number
from streaming.sandbox.websocket.framing import make_frame
from trading.market import Pair


class ClientWriter(Protocol):
    """The way to one client. Never blocks; what the client does not read is bounded."""

    def write(self, wire: bytes) -> None:
        """Send whole WebSocket frames."""

    def write_slowly(self, payload: bytes, seconds: float) -> None:
        """Send one message byte by byte; whatever is written later waits for it."""

    def disconnect(self, reason: str) -> None:
        """Cut the connection off at once."""


class Topic(NamedTuple):
    """What public subscribers share: `variant` is the depth, the interval or the trigger."""

    channel: str
    pair: Pair | None
    variant: int | str = 0


@dataclass(slots=True)
class PrivateSubscription:
    """One client's subscription to a private channel."""

    account: str
    channel: str
    token: str
    all_changes: bool = True  # False: only new, trade, filled, canceled, expired
    rate_counter: bool = False
    sequence: int = 0  # of the last message


@dataclass(slots=True, eq=False)
class Client:
    number: int
    writer: ClientWriter
    faults: ConnectionFaults
    topics: dict[Topic, None] = field(default_factory=dict)
    private_subscriptions: dict[str, PrivateSubscription] = field(default_factory=dict)  # by channel
    heartbeat_at: float = 0.0  # server time of the next heartbeat

    @property
    def subscribed(self) -> bool:
        return bool(self.topics or self.private_subscriptions)


class Delivery:
    """Frames are encoded once; without a fault in force every subscriber is written the same bytes."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.sent = 0  # frames, to all clients together

    def share(self, clients: Iterable[Client], channel: str, symbol: str, payload: bytes) -> None:
        wire = make_frame(payload)
        for client in clients:
            self._send(client, channel, symbol, payload, wire)

    def send(
        self, client: Client, channel: str, payload: bytes, *, symbol: str = "", method: str = ""
    ) -> None:
        """Send one client a frame of a channel, or the response to a request of `method`."""
        self._send(client, channel, symbol, payload, make_frame(payload), method)

    def skips_number(self, channel: str, symbol: str) -> bool:
        """Return whether a number is left out of a private channel's sequence."""
        return skips_number(self._faults, channel, symbol)

    def _send(
        self, client: Client, channel: str, symbol: str, payload: bytes, wire: bytes, method: str = ""
    ) -> None:
        self.sent += 1
        if client.faults.idle:
            client.writer.write(wire)
            return
        outgoing = client.faults.apply(channel, symbol, payload, method)
        for frame in outgoing.frames:
            if outgoing.seconds_per_byte:
                client.writer.write_slowly(frame, outgoing.seconds_per_byte)
            else:
                client.writer.write(wire if frame is payload else make_frame(frame))
        if outgoing.disconnects:
            client.writer.disconnect(f"fault: {FaultKind.DISCONNECT} at {channel or method}")
