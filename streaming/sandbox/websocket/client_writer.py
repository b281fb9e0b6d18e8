"""The way to one client: writes go straight to its transport, and whoever does not read is cut off."""

import asyncio
import logging
from collections import deque

from streaming.sandbox.websocket.framing import fragments

log = logging.getLogger(__name__)
AT_ONCE = 64 * 1024  # bytes collected within one turn of the event loop before they are written


class TransportWriter:
    """Frames of one turn of the event loop are written together: one system call, however many there are.

    `limit`: bytes that may wait for a client before it is cut off, which bounds the memory that each one costs.
    """

    def __init__(self, transport: asyncio.Transport, limit: int, peer: str) -> None:
        self._transport = transport
        self._limit = limit
        self._peer = peer
        self._collected: list[bytes] = []
        self._bytes = 0
        self._dripping: deque[tuple[bytes, float]] = deque()  # wire and the pause after it
        self._dripping_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.disconnected = ""  # why, when it was

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._bytes + self._dripping_bytes + self._transport.get_write_buffer_size()

    def write(self, wire: bytes) -> None:
        if self.disconnected:
            return
        if self._dripping:
            self._drip_later(wire, 0.0)
            return
        if not self._collected:
            asyncio.get_running_loop().call_soon(self._flush)
        self._collected.append(wire)
        self._bytes += len(wire)
        if self._bytes > AT_ONCE:
            self._flush()

    def write_slowly(self, payload: bytes, seconds: float) -> None:
        if self.disconnected:
            return
        begins = not self._dripping
        for wire in fragments(payload):
            self._drip_later(wire, seconds)
        if begins and self._dripping:
            self._flush()
            self._drip()

    def disconnect(self, reason: str) -> None:
        if not self.disconnected:
            log.warning("sandbox: %s is cut off: %s", self._peer, reason)
            self.abort(reason)

    def abort(self, reason: str) -> None:
        """Disconnect without a warning in the log."""
        self.disconnected = self.disconnected or reason
        self.close()
        self._transport.abort()

    def close(self) -> None:
        """Forget what was not sent: the connection is over."""
        self.disconnected = self.disconnected or "closed"
        self._collected.clear()
        self._dripping.clear()
        self._bytes = self._dripping_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        if self._collected and not self._transport.is_closing():
            self._transport.write(b"".join(self._collected))
        self._collected.clear()
        self._bytes = 0
        self._bound()

    def _drip_later(self, wire: bytes, pause: float) -> None:
        self._dripping.append((wire, pause))
        self._dripping_bytes += len(wire)
        self._bound()

    def _drip(self) -> None:
        self._timer = None
        while self._dripping and not self._transport.is_closing():
            wire, pause = self._dripping.popleft()
            self._dripping_bytes -= len(wire)
            self._transport.write(wire)
            if pause:
                self._timer = asyncio.get_running_loop().call_later(pause, self._drip)
                break
        self._bound()

    def _bound(self) -> None:
        if not self.disconnected and self.backlog > self._limit:
            self.disconnect(
                f"{self.backlog} bytes wait for it and it does not read them; allowed are {self._limit}"
            )
