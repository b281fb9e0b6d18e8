"""The WebSocket v2 endpoint of the sandbox: sockets in, the hub and the order gateway behind them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp import WSMsgType, web

from streaming.sandbox.faults import Faults
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.websocket.client_writer import TransportWriter
from streaming.sandbox.websocket.conversation import Conversation
from streaming.sandbox.websocket.hub import Hub
from streaming.sandbox.websocket.orders import OrderEntry
from streaming.sandbox.websocket.ports import MarketFeed, Tokens

log = logging.getLogger(__name__)
PATHS = ("/v2", "/v2/private")  # Kraken has them on two hosts; here both take everything
MAX_REQUEST = 1 << 20  # bytes
MAX_UNREAD = 16 << 20  # bytes that may wait for one client
ACCEPTED_BACKLOG = 1 << 20  # bytes that may wait without anybody minding
PATIENCE = 5.0  # seconds that more than that may wait
TICK_SECONDS = 0.1  # seconds


class WebSocketApi:
    """Mount it on an aiohttp application; it listens to the exchange and beats while the application runs."""

    def __init__(
        self,
        market: MarketFeed,
        gateway: OrderGateway,
        tokens: Tokens,
        faults: Faults,
        server: Callable[[], float],
        unread_limit: int = MAX_UNREAD,
    ) -> None:
        """`server` gives server time in seconds since 1970; `unread_limit` is in bytes per client."""
        self.hub = Hub(market, gateway.rates, tokens, faults, server)
        self._market = market
        self._server = server
        self._unread_limit = unread_limit
        self._gateway = gateway
        self._visible_time = lambda: server() + faults.skew()
        self._writers: dict[TransportWriter, float | None] = {}  # since when each has been behind

    def mount(self, application: web.Application) -> None:
        """Add the routes, and what has to run while the application does."""
        for path in PATHS:
            application.router.add_get(path, self.handle)
        application.cleanup_ctx.append(self._lifespan)
        application.on_shutdown.append(self._close_all)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection, from its handshake to its end."""
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_REQUEST)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:  # gone before it began
            return socket
        writer = TransportWriter(transport, self._unread_limit, str(request.remote))
        self._writers[writer] = None
        entry = OrderEntry(self._gateway, self._market, self._visible_time)
        conversation = Conversation(self.hub, entry, writer, self._server)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    conversation.handle(message.data)
        finally:
            await conversation.end()
            writer.close()
            del self._writers[writer]
        return socket

    async def wait_for_clients(self) -> None:
        """Wait until no client is far behind; whoever makes events without a pause calls this in between."""
        await asyncio.sleep(0)
        while any(writer.backlog > ACCEPTED_BACKLOG for writer in self._writers if not writer.disconnected):
            self._disconnect_idlers()
            await asyncio.sleep(0.001)

    async def _lifespan(self, application: web.Application) -> AsyncIterator[None]:
        unlisten = self._market.listen(self.hub.publish)
        ticking = asyncio.create_task(self._tick())
        yield
        unlisten()
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking

    async def _tick(self) -> None:
        while True:
            try:
                self.hub.tick()
                self._disconnect_idlers()
            except Exception:  # one look that fails must not silence every later heartbeat
                log.exception("sandbox: a look at the WebSocket clients failed")
            await asyncio.sleep(TICK_SECONDS)

    def _disconnect_idlers(self) -> None:
        now = self._server()
        for writer, since in self._writers.items():
            if writer.backlog <= ACCEPTED_BACKLOG:
                self._writers[writer] = None
            elif since is None:
                self._writers[writer] = now
            elif now - since > PATIENCE:
                writer.disconnect(f"{writer.backlog} bytes have waited for it for {PATIENCE:g} s")

    async def _close_all(self, application: web.Application) -> None:
        for writer in list(self._writers):
            writer.abort("the sandbox stops")
