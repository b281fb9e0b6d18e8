"""A hub over the fake exchange with one listener, driven without a socket."""

import asyncio
import json
from typing import Any

import pytest

from streaming.sandbox.faults import Faults
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.rates import PRO, Rates
from streaming.sandbox.websocket.conversation import Conversation
from streaming.sandbox.websocket.hub import Hub
from streaming.sandbox.websocket.orders import OrderEntry
from tests.doubles.clock import Clock
from tests.streaming.sandbox.websocket_fakes import (
    SERVER_START,
    FakeExchange,
    Listener,
    Tokens,
    let_tasks_run,
)


class Rig:
    """`send` sends one request as a client would; the listener records the responses."""

    def __init__(self, latency: float = 0.0) -> None:
        self.clock = Clock(SERVER_START)
        self.exchange = FakeExchange()
        self.faults = Faults(self.clock)
        self.tokens = Tokens()
        self.rates = Rates(PRO, self.clock)
        self.latency = latency
        self.gateway = OrderGateway(
            self.exchange,
            self.rates,
            self.faults,
            lambda: self.latency,
            self.clock,  # type: ignore[arg-type]
        )
        self.hub = Hub(self.exchange, self.rates, self.tokens, self.faults, self.clock)
        self.exchange.listen(self.hub.publish)
        self.listener, self.conversation = self.connect()

    def connect(self) -> tuple[Listener, Conversation]:
        listener = Listener()
        entry = OrderEntry(self.gateway, self.exchange, self.clock)
        return listener, Conversation(self.hub, entry, listener, self.clock)

    def send(self, method: str, params: object = None, request_id: int | None = None) -> None:
        request = {"method": method}
        request |= {} if params is None else {"params": params}  # type: ignore[dict-item]
        request |= {} if request_id is None else {"req_id": request_id}  # type: ignore[dict-item]
        self.conversation.handle(json.dumps(request))

    def subscribe(self, channel: str, *symbols: str, **more: object) -> None:
        symbol = {"symbol": list(symbols)} if symbols else {}
        self.send("subscribe", {"channel": channel, **symbol, **more})

    async def ask(self, method: str, params: object = None, request_id: int | None = None) -> list[Any]:
        """Send a request and return the responses to its method that have come so far."""
        self.send(method, params, request_id)
        await let_tasks_run()
        return self.listener.answers(method)


class LoopTime:
    """Time of the running event loop: it stands still until `advance`, however busy the machine is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        await let_tasks_run()
