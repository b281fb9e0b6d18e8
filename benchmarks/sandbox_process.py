"""What the sandbox's benchmarks talk to: `python -m benchmarks.sandbox_process sandbox|bare`, until its input ends.

`sandbox` is the whole exchange with one pair, at a time that stands still; `bare` is aiohttp and nothing behind it.
The first line of output says where it listens.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from aiohttp import WSMsgType, web

from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.market import CandleReplay, MarketClock
from streaming.sandbox.model import Listing
from streaming.sandbox.rates import TIERS, RateLimit, RateTier
from streaming.sandbox.server import Opening, Running, SandboxServer
from trading.fills import Costs
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair, Timeframe
from trading.simulation.market import SimulatedMarket

HOST = "127.0.0.1"
PAIR = Pair("BTC", "USDT")
LEVELS = 25  # of the market maker, per side
BEGINS = datetime(2024, 3, 1, tzinfo=UTC)
STARTS = BEGINS + timedelta(days=1)
BALANCES = {"BTC": Decimal(1_000), "USDT": Decimal(10**8)}
ENDLESS = RateLimit(1e12, 1e12)
UNLIMITED = RateTier("unlimited", ENDLESS, ENDLESS)
CONFIG = SandboxConfig(
    host=HOST,
    port=0,
    candles="",
    trades="",
    start="",
    speed=0.0,
    seed=1,
    history_days=1,
    latency_ms=0.0,
    latency_jitter_ms=0.0,
    level_value=Decimal(25_000),
    levels=LEVELS,
    leverage=3,
    tier=UNLIMITED.name,  # type: ignore[arg-type]  # no user may choose it
    faults=(),
)
LISTING = Listing(
    Instrument(
        pair=PAIR,
        price_increment=Decimal("0.1"),
        quantity_increment=Decimal("0.00000001"),
        minimum_quantity=Decimal("0.00005"),
        minimum_cost=Decimal("0.5"),
        taker_fee=Decimal("0.0026"),
        maker_fee=Decimal("0.0016"),
        maximum_leverage=Decimal(3),
    ),
    Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0002),
    CONFIG.level_value,
    LEVELS,
)
TERMS = MarginTerms(
    opening_fee=Decimal("0.0002"),
    rollover_fee=Decimal("0.0002"),
    rollover_every=timedelta(hours=4),
    call_level=Decimal("0.8"),
    liquidation_level=Decimal("0.4"),
    leverage=Decimal(3),
)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a process listens; the bare one knows no keys."""

    url: str
    process: int
    key: str = ""
    secret: str = ""

    @property
    def websocket(self) -> str:
        return f"ws{self.url.removeprefix('http')}/v2"


def market() -> CandleReplay:
    candles = SimulatedMarket((PAIR,), Timeframe.M1, 5, BEGINS, BEGINS + timedelta(days=3650))
    return CandleReplay(candles, {PAIR: LISTING.instrument}, Timeframe.M1)


def exchange(store: ExchangeStore) -> Exchange:
    """Without a server: to be called in the same process."""
    clock = MarketClock(STARTS, 0.0, time.time)
    return Exchange({PAIR: LISTING}, TERMS, "USDT", store, clock, time.time, market())


async def _sandbox(stop: asyncio.Event) -> None:
    TIERS[UNLIMITED.name] = UNLIMITED
    opening = Opening(market(), STARTS, True, {PAIR: LISTING}, "USDT", TERMS, lambda prices: BALANCES)

    def ready(running: Running) -> None:
        _send(Listening(running.url, os.getpid(), running.key.key, running.key.secret))

    with tempfile.TemporaryDirectory() as folder:
        await SandboxServer(CONFIG, opening, Path(folder)).run(stop, ready)


async def _bare(stop: asyncio.Event) -> None:
    clients: list[web.WebSocketResponse] = []

    async def converse(request: web.Request) -> web.WebSocketResponse:
        """Says what it is told, but of a {"flood": [number, text, ...]} all clients get every text so many times."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        clients.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                if flood := asked.pop("flood", None):
                    await _flood(clients, *flood)
                for each in clients if flood else (socket,):
                    await each.send_str(message.data if not flood else json.dumps(asked))
        clients.remove(socket)
        return socket

    application = web.Application()
    application.add_routes([web.get("/v2", converse), web.post("/0/private/{method}", _echo)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        _send(Listening(f"http://{HOST}:{runner.addresses[0][1]}", os.getpid()))
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
    """Input ends when whoever started this is gone, however that happened."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    await serve(stop)


if __name__ == "__main__":
    asyncio.run(_until_input_ends({"sandbox": _sandbox, "bare": _bare}[sys.argv[1]]))
