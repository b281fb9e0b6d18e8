"""One client's requests and the responses to them, with what the faults do to both."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streaming.sandbox.faults import FaultKind
from streaming.sandbox.faults.requests import acknowledgement_delay, check_websocket_order, disconnects
from streaming.sandbox.limits import EXCEEDED_RATE, INTERNAL_ERROR
from streaming.sandbox.model import Refused
from streaming.sandbox.websocket import responses
from streaming.sandbox.websocket.clients import Client, ClientWriter
from streaming.sandbox.websocket.hub import Hub
from streaming.sandbox.websocket.order_requests import OrderRequest
from streaming.sandbox.websocket.orders import OrderEntry
from streaming.sandbox.websocket.requests import Ping, RefusedRequest, Request, parse
from streaming.sandbox.websocket.subscription_requests import Subscription
from streaming.sandbox.websocket.subscriptions import Answer, subscribe, unsubscribe

log = logging.getLogger(__name__)
MAX_PENDING = 1000  # order requests of one connection on their way to the engine


class Conversation:
    """Needs a running event loop: orders take their time, and responses may be late.

    Order requests reach the engine, and are answered, in the order in which they came. Only an answer that a fault
    delays or loses is late or missing: those behind it do not wait for it. Pings and subscriptions, and requests that
    make no sense, never go to the engine: they are answered at once.
    """

    def __init__(
        self, hub: Hub, orders: OrderEntry, writer: ClientWriter, server: Callable[[], float]
    ) -> None:
        self.client: Client = hub.attach(writer)
        self._hub = hub
        self._faults = hub.faults
        self._orders = orders
        self._server = server
        self._pending: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.TimerHandle] = set()

    def handle(self, frame: str | bytes) -> None:
        """Answer one frame, now or when the engine has; neither what it holds nor an error of ours ends anything."""
        time_in = self._visible_time()
        request = parse(frame)
        try:
            self._handle(request, time_in)
        except Exception:
            log.exception("sandbox: %s failed", request.method)
            self._refuse(request.method, request.request_id, INTERNAL_ERROR, time_in, {})

    def _handle(self, request: Request | RefusedRequest, time_in: float) -> None:
        method = request.method
        if method and disconnects(self._faults, method):
            self.client.writer.disconnect(f"fault: {FaultKind.DISCONNECT} at {method}")
            return
        if isinstance(request, RefusedRequest):
            self._refuse(method, request.request_id, request.error, time_in, {})
            return
        body = request.body
        if isinstance(body, Ping):
            self._send("ping", responses.pong(request.request_id, time_in, self._visible_time()))
        elif isinstance(body, Subscription):
            steps = subscribe if method == "subscribe" else unsubscribe
            self._handle_subscription(request, steps(self._hub, self.client, body), time_in)
        else:
            self._handle_order(request, body, time_in)

    async def end(self) -> None:
        """End the connection. Orders on their way arrive all the same, as they do on the real venue."""
        self._hub.detach(self.client)
        for handle in self._late:
            handle.cancel()
        if self._pending:
            await asyncio.wait(self._pending)

    def _handle_subscription(self, request: Request, steps: Iterator[Answer], time_in: float) -> None:
        for result, named, follow in steps:
            if isinstance(result, Refused):
                self._refuse(request.method, request.request_id, str(result), time_in, named)
            else:
                self._accept(request, result, time_in, named.get("symbol", ""))
            if follow is not None:
                follow()

    def _handle_order(self, request: Request, body: OrderRequest, time_in: float) -> None:
        try:
            check_websocket_order(self._faults, request.method, _symbol(body))
            if len(self._pending) >= MAX_PENDING:
                raise Refused(EXCEEDED_RATE)
        except Refused as refusal:
            self._refuse(request.method, request.request_id, str(refusal), time_in, {})
            return
        task = asyncio.create_task(self._carry_out(request, body, time_in))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _carry_out(self, request: Request, body: OrderRequest, time_in: float) -> None:
        try:
            account = self._hub.tokens.account_of(body.token)
            async for result in self._orders.respond(account, request.method, body):
                if isinstance(result, Refused):
                    self._refuse(request.method, request.request_id, str(result), time_in, {}, _symbol(body))
                else:
                    self._accept(request, result, time_in, _symbol(body))
        except Refused as refusal:
            self._refuse(request.method, request.request_id, str(refusal), time_in, {})
        except Exception:  # a fault of the sandbox itself: said aloud, and the client learns that it is one
            log.exception("sandbox: %s failed", request.method)
            self._refuse(request.method, request.request_id, INTERNAL_ERROR, time_in, {})

    def _accept(
        self, request: Request, result: Mapping[str, Any] | list[Any], time_in: float, symbol: str
    ) -> None:
        frame = responses.acceptance(
            request.method, request.request_id, result, time_in, self._visible_time()
        )
        delay = acknowledgement_delay(self._faults, request.method, symbol)
        if delay:
            self._send_late(delay, request.method, frame, symbol)
        elif delay is not None:
            self._send(request.method, frame, symbol)

    def _refuse(
        self,
        method: str,
        request_id: int | None,
        error: str,
        time_in: float,
        named: dict[str, str],
        symbol: str = "",
    ) -> None:
        frame = responses.refusal(method, request_id, error, time_in, self._visible_time(), **named)
        self._send(method, frame, symbol)

    def _send(self, method: str, frame: bytes, symbol: str = "") -> None:
        self._hub.delivery.send(self.client, "", frame, symbol=symbol, method=method)

    def _send_late(self, seconds: float, method: str, frame: bytes, symbol: str) -> None:
        def send() -> None:
            self._late.discard(handle)
            self._send(method, frame, symbol)

        handle = asyncio.get_running_loop().call_later(seconds, send)
        self._late.add(handle)

    def _visible_time(self) -> float:
        """Server time as clients see it: a clock fault makes it wrong."""
        return self._server() + self._faults.skew()


def _symbol(body: OrderRequest) -> str:
    """Return the pair that a request names, empty where it names none."""
    order = getattr(body, "order", None)
    pair = order.pair if order is not None else getattr(body, "pair", None)
    return "" if pair is None else str(pair)
