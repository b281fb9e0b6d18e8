"""The WebSocket v2 endpoint of the sandbox: sockets in, the hub and the desk behind them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp import WSMsgType, web

from streaming.sandbox.faults import Faults
from streaming.sandbox.order_gateway import Desk
from streaming.sandbox.websocket.client_writer import TransportOutlet
from streaming.sandbox.websocket.conversation import Conversation
from streaming.sandbox.websocket.hub import Hub
from streaming.sandbox.websocket.orders import OrderEntry
from streaming.sandbox.websocket.ports import Market, Tokens

log = logging.getLogger(__name__)
PATHS = ("/v2", "/v2/private")  # Kraken has them on two hosts; here both take everything
LARGEST_REQUEST = 1 << 20  # bytes
UNREAD_LIMIT = 16 << 20  # bytes that may wait for one client
LOW_BACKLOG = 1 << 20  # bytes that may wait without anybody minding
PATIENCE = 5.0  # seconds that more than that may wait
LOOK_EVERY = 0.1  # seconds


class WebSocketFace:
    """Mount it on an aiohttp application; it listens to the exchange and beats while the application runs."""

    def __init__(
        self,
        market: Market,
        desk: Desk,
        tokens: Tokens,
        faults: Faults,
        server: Callable[[], float],
        unread_limit: int = UNREAD_LIMIT,
    ) -> None:
        """`server` gives server time in seconds since 1970; `unread_limit` is in bytes per client."""
        self.hub = Hub(market, desk.rates, tokens, faults, server)
        self._market = market
        self._server = server
        self._unread_limit = unread_limit
        self._orders = OrderEntry(desk, market, lambda: server() + faults.skew())
        self._outlets: dict[TransportOutlet, float | None] = {}  # since when each has been behind

    def mount(self, application: web.Application) -> None:
        """Add the routes, and what has to run while the application does."""
        for path in PATHS:
            application.router.add_get(path, self.handle)
        application.cleanup_ctx.append(self._lifespan)
        application.on_shutdown.append(self._close_all)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from its handshake to its end."""
        socket = web.WebSocketResponse(compress=False, max_msg_size=LARGEST_REQUEST)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:  # gone before it began
            return socket
        outlet = TransportOutlet(transport, self._unread_limit, str(request.remote))
        self._outlets[outlet] = None
        conversation = Conversation(self.hub, self._orders, outlet, self._server)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    conversation.take(message.data)
        finally:
            await conversation.end()
            outlet.close()
            del self._outlets[outlet]
        return socket

    async def drained(self) -> None:
        """Returns when no client is far behind: one who makes events without a pause waits here in between."""
        await asyncio.sleep(0)
        while any(outlet.backlog > LOW_BACKLOG for outlet in self._outlets if not outlet.severed):
            self._cut_off_idlers()
            await asyncio.sleep(0.001)

    async def _lifespan(self, application: web.Application) -> AsyncIterator[None]:
        unlisten = self._market.listen(self.hub.hear)
        beating = asyncio.create_task(self._beat())
        yield
        unlisten()
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating

    async def _beat(self) -> None:
        while True:
            try:
                self.hub.beat()
                self._cut_off_idlers()
            except Exception:  # one look that fails must not silence every later heartbeat
                log.exception("sandbox: a look at the WebSocket clients failed")
            await asyncio.sleep(LOOK_EVERY)

    def _cut_off_idlers(self) -> None:
        now = self._server()
        for outlet, since in self._outlets.items():
            if outlet.backlog <= LOW_BACKLOG:
                self._outlets[outlet] = None
            elif since is None:
                self._outlets[outlet] = now
            elif now - since > PATIENCE:
                outlet.sever(f"{outlet.backlog} bytes have waited for it for {PATIENCE:g} s")

    async def _close_all(self, application: web.Application) -> None:
        for outlet in list(self._outlets):
            outlet.abort("the sandbox stops")
