"""The servers of the sandbox's benchmarks: `python -m benchmarks.sandbox_process sandbox|bare`, until its input ends.

`sandbox` is the whole exchange with one pair, at a time that stands still; `bare` is aiohttp and nothing behind it.
The first line of output is the address.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from aiohttp import WSMsgType, web

from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.market import CandleReplay, MarketClock
from streaming.sandbox.server import Opening, Running, SandboxServer
from tests.streaming.sandbox.simulated_exchange import BEGINS, BTC, CONFIG, INSTRUMENTS, STARTS, UNHURRIED
from tests.streaming.sandbox.simulated_exchange import opening as simulated_opening
from trading.market import Timeframe
from trading.simulation.market import SimulatedMarket

PAIR = BTC
BALANCES = {"BTC": Decimal(1_000), "USDT": Decimal(10**8)}


@dataclass(frozen=True, slots=True)
class Listening:
    """The address of a process and its key; the bare one has no key."""

    url: str
    process: int
    key: str = ""
    secret: str = ""

    @property
    def websocket(self) -> str:
        return f"ws{self.url.removeprefix('http')}/v2"


def opening() -> Opening:
    """Return the tests' sandbox with one pair, ten years of market and balances that never run out."""
    instruments = {PAIR: INSTRUMENTS[PAIR]}
    candles = SimulatedMarket((PAIR,), Timeframe.M1, 5, BEGINS, BEGINS + timedelta(days=3650))
    source = CandleReplay(candles, instruments, Timeframe.M1)
    return replace(simulated_opening(instruments), source=source, balances=lambda prices: BALANCES)


def exchange(store: ExchangeStore) -> Exchange:
    """Return an exchange without a server, to be called in the same process."""
    parts, clock = opening(), MarketClock(STARTS, 0.0, time.time)
    return Exchange(parts.listings, parts.terms, parts.quote, store, clock, time.time, parts.source)


async def _sandbox(stop: asyncio.Event) -> None:
    def ready(running: Running) -> None:
        _send(Listening(running.url, os.getpid(), running.key.key, running.key.secret))

    with tempfile.TemporaryDirectory() as folder:
        config = replace(CONFIG, tier=UNHURRIED.name)  # type: ignore[arg-type]  # no user may choose it
        await SandboxServer(config, opening(), Path(folder)).run(stop, ready)


async def _bare(stop: asyncio.Event) -> None:
    clients: list[web.WebSocketResponse] = []

    async def converse(request: web.Request) -> web.WebSocketResponse:
        """Echo each message; at {"flood": [number, text, ...]} send every text `number` times to all clients."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        clients.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                command = json.loads(message.data)
                if flood := command.pop("flood", None):
                    await _flood(clients, *flood)
                for each in clients if flood else (socket,):
                    await each.send_str(message.data if not flood else json.dumps(command))
        clients.remove(socket)
        return socket

    application = web.Application()
    application.add_routes([web.get("/v2", converse), web.post("/0/private/{method}", _echo)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, CONFIG.host, 0).start()
        _send(Listening(f"http://{CONFIG.host}:{runner.addresses[0][1]}", os.getpid()))
        await stop.wait()
    finally:
        await runner.cleanup()


async def _flood(clients: list[web.WebSocketResponse], number: int, *texts: str) -> None:
    for _ in range(number):
        for text in texts:
            for client in clients:
                await client.send_str(text)


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), content_type="application/json")


def _send(listening: Listening) -> None:
    print(json.dumps(asdict(listening)), flush=True)


async def _until_input_ends(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Serve until the input ends: it does when the process that started this one is gone, for any reason."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    await serve(stop)


if __name__ == "__main__":
    asyncio.run(_until_input_ends({"sandbox": _sandbox, "bare": _bare}[sys.argv[1]]))
