"""One open private WebSocket: requests of many threads, each with its own answer, until it breaks."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from trading.errors import InvalidMessage, InvalidSettings, OutcomeUnknown, VenueUnreachable
from trading.venues.kraken.errors import error_from
from trading.venues.kraken.websocket_messages import (
    EXECUTIONS,
    Params,
    WebSocketMessage,
    decode_message,
    encode_request,
)

LOG = logging.getLogger("marketloom.kraken")
MAX_MESSAGE = 16 * 2**20  # bytes; a snapshot of all open orders is far below
SUBSCRIBE = 1  # number of the first request


class NotConnected(VenueUnreachable):
    """The WebSocket is not there: this request surely was not sent, or surely not taken."""


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """WebSocketLimits in seconds."""

    opening: float = 5.0  # name, TCP, TLS and handshake; then again for the subscription
    answer: float = 5.0  # of one request
    silence: float = 8.0  # Kraken's heartbeat comes each second; after half of this it is asked for a pong
    closing: float = 1.0  # for the other side's closing handshake: a dead one sends none


class Link:
    """`listen` in one thread, `request` from any; after the first trouble it is over."""

    def __init__(
        self,
        socket: ClientConnection,
        token: str,
        limits: WebSocketLimits,
        publish: Callable[[WebSocketMessage], None],
    ) -> None:
        """`publish` gets the messages of channels."""
        self._socket = socket
        self._token = token
        self._limits = limits
        self._publish = publish
        self._numbers = count(SUBSCRIBE + 1)
        self._lock = threading.Lock()
        self._pending: dict[int, Future[WebSocketMessage]] = {}
        self._over = False  # takes no more requests

    def request(self, method: str, params: Params) -> WebSocketMessage:
        """Send once and return the answer.

        NotConnected: nothing was sent. OutcomeUnknown: no answer within the limit, or the connection broke.
        """
        number, answer = self._register()
        try:
            self._send(method, params, number)
            return answer.result(self._limits.answer)
        except TimeoutError as error:
            raise OutcomeUnknown(
                f"Kraken {method} over WebSocket: no answer within {self._limits.answer:g} s"
            ) from error
        finally:
            with self._lock:
                self._pending.pop(number, None)

    def subscribe(self) -> None:
        """Subscribe to the account's executions: they bring heartbeats, and the token lives as long as they do.

        Before anything else. Raise what the refusal means, TimeoutError or ConnectionClosed.
        """
        params = {"channel": EXECUTIONS, "snap_orders": True, "snap_trades": False, "token": self._token}
        self._socket.send(encode_request("subscribe", params, SUBSCRIBE))
        end = time.monotonic() + self._limits.opening
        while (message := decode_message(self._read(end - time.monotonic()))).req_id != SUBSCRIBE:
            self._publish(message)
        if not message.success:
            raise error_from("subscribe over WebSocket", [message.error or "refused"], changes=False)

    def listen(self) -> str:
        """Hand out what comes until the connection breaks, is silent or retired; return why."""
        reason = "retired"
        try:
            while not (self._over and not self._pending):
                self._take(self._receive())
        except TimeoutError:
            reason = f"silent for {self._limits.silence:g} s"
        except ConnectionClosed as error:
            reason = str(error)
        finally:
            self._end(reason)
        return reason

    def retire(self) -> None:
        """Take no more requests; those on their way still get their answers."""
        with self._lock:
            self._over = True

    def close(self) -> None:
        self.retire()
        self._socket.close()

    def _register(self) -> tuple[int, Future[WebSocketMessage]]:
        with self._lock:
            if self._over or self._socket.state is not State.OPEN:
                raise NotConnected("Kraken WebSocket: the connection is over")
            number, answer = next(self._numbers), Future[WebSocketMessage]()
            self._pending[number] = answer
            return number, answer

    def _send(self, method: str, params: Params, number: int) -> None:
        try:
            self._socket.send(encode_request(method, params | {"token": self._token}, number))
        except ConnectionClosed as error:  # perhaps after a part of the frame, or all of it
            raise OutcomeUnknown(f"Kraken {method} over WebSocket: {error} while it was sent") from error

    def _receive(self) -> bytes:
        """Return the next frame; a silent connection is asked for a pong first. TimeoutError when it stays silent."""
        with suppress(TimeoutError):
            return self._read(self._limits.silence / 2)
        self._socket.send(encode_request("ping", {}, next(self._numbers)))
        return self._read(self._limits.silence / 2)

    def _read(self, timeout: float) -> bytes:
        return self._socket.recv(max(timeout, 0.0), decode=False)

    def _take(self, frame: bytes) -> None:
        try:
            message = decode_message(frame)
        except InvalidMessage as error:
            # The request that it answers, if it is an answer, waits for its limit.
            LOG.warning("%s", error)
            return
        if message.channel:
            self._publish(message)
        elif message.req_id is not None:
            with self._lock:
                answer = self._pending.pop(message.req_id, None)
            if answer is not None:
                answer.set_result(message)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._over = True
            pending, self._pending = self._pending, {}
        for answer in pending.values():
            answer.set_exception(OutcomeUnknown(f"Kraken WebSocket: {reason} before the answer came"))
        self._socket.close()


@contextmanager
def open_link(
    url: str, token: str, limits: WebSocketLimits, publish: Callable[[WebSocketMessage], None]
) -> Iterator[Link]:
    """Connect, subscribe, and close in the end.

    Raise VenueUnreachable, or what the refusal of the subscription means; InvalidSettings for what is no address.
    """
    with _connect(url, limits) as socket:
        link = Link(socket, token, limits, publish)
        try:
            link.subscribe()
        except (ConnectionClosed, TimeoutError) as error:
            raise VenueUnreachable(f"Kraken WebSocket: no subscription ({error or 'no answer'})") from error
        yield link


def _connect(url: str, limits: WebSocketLimits) -> ClientConnection:
    """Connect without the library's pings: Kraken's heartbeats and its own ping are what counts."""
    try:
        return connect(
            url,
            compression=None,
            open_timeout=limits.opening,
            close_timeout=limits.closing,
            ping_interval=None,
            max_size=MAX_MESSAGE,
        )
    except InvalidURI as error:
        raise InvalidSettings(
            f"{url!r} is not the address of a WebSocket: write it like wss://host/path"
        ) from error
    except (OSError, InvalidHandshake, EOFError) as error:  # TimeoutError is an OSError
        raise VenueUnreachable(f"Kraken WebSocket {url}: no connection ({error})") from error
