"""ccxt's Kraken client, pointed at the whole sandbox by its URLs alone, watches and trades."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streaming.sandbox.exchange.exchange import Exchange, ExchangeStore
from streaming.sandbox.faults import Faults
from streaming.sandbox.keys import Keys
from streaming.sandbox.market import MarketClock, Tick
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.rates import PRO, Rates
from streaming.sandbox.rest import routes
from streaming.sandbox.websocket import WebSocketApi
from tests.streaming.sandbox.exchange_setup import TERMS
from tests.streaming.sandbox.websocket_fakes import BTC, XRP, listing
from trading.orders import Side

ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")
START = datetime(2026, 9, 10, 12, 0, tzinfo=UTC)
SYMBOL = "BTC/USDT"
PATIENCE = 30.0  # seconds
pytestmark = pytest.mark.anyio


class Sandbox:
    """Exchange, REST and WebSocket API behind one port; the market moves when `tick` is called."""

    def __init__(self, store: ExchangeStore, keys: Keys) -> None:
        self.clock = MarketClock(START, 0, time.time)
        listings = {
            BTC: replace(listing(BTC, "0.1"), levels=40),
            XRP: replace(listing(XRP, "0.00000001"), levels=40),
        }
        self.exchange = Exchange(listings, TERMS, "USDT", store, self.clock, time.time)
        self.exchange.open_account("demo", {"USDT": Decimal(100_000), "BTC": Decimal(1)})
        self.key = keys.issue("demo")
        for number in range(30):
            self.tick(100 + number % 3)
        faults = Faults(time.time)
        gateway = OrderGateway(self.exchange, Rates(PRO, time.time), faults, lambda: 0.0, time.time)
        self.application = web.Application()
        self.application.add_routes(routes(gateway, keys, faults, TERMS, "USDT", time.time))
        WebSocketApi(self.exchange, gateway, keys, faults, time.time).mount(self.application)

    def tick(self, price: float, quantity: str = "0.5", side: Side = Side.SELL) -> None:
        at = self.exchange.market_now() + timedelta(seconds=7)
        self.clock.advance_to(at)
        self.exchange.apply(Tick(BTC, at, Decimal(str(price)), Decimal(quantity), side, "market"))


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with (
        closing(ExchangeStore(tmp_path / "exchange.sqlite")) as store,
        closing(Keys(tmp_path / "keys.sqlite", time.time)) as keys,
    ):
        yield Sandbox(store, keys)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Any]:
    options = {"apiKey": sandbox.key.key, "secret": sandbox.key.secret, "enableRateLimit": False}
    async with TestServer(sandbox.application) as server, ccxt.kraken(options) as client:
        http = str(server.make_url("")).rstrip("/")
        socket = http.replace("http", "ws") + "/v2"
        client.urls["api"] |= {
            "public": http,
            "private": http,
            "ws": dict.fromkeys(("public", "private", "publicV2", "privateV2"), socket),
        }
        client.options["watchOrderBook"] = {"checksum": False}
        yield client


async def while_ticking(sandbox: Sandbox, watching: Coroutine[Any, Any, Any]) -> Any:
    """Move the market until the client has received something, and return it."""
    task = asyncio.ensure_future(asyncio.wait_for(watching, PATIENCE))
    price = 100.0
    while not task.done():
        price = 201.5 - price
        sandbox.tick(price)
        await asyncio.sleep(0.02)
    return task.result()


async def test_ccxt_watches_the_market(sandbox: Sandbox, client: Any) -> None:
    ticker = await while_ticking(sandbox, client.watch_ticker(SYMBOL))
    assert ticker["bid"] < ticker["last"] < ticker["ask"]
    trades = await while_ticking(sandbox, client.watch_trades(SYMBOL))
    assert trades[-1]["amount"] == 0.5
    candles = await while_ticking(sandbox, client.watch_ohlcv(SYMBOL, "1m"))
    assert len(candles[-1]) == 6


async def test_ccxt_keeps_the_same_book_as_the_exchange(sandbox: Sandbox, client: Any) -> None:
    book = await client.watch_order_book(SYMBOL, 25)
    for price in (101.0, 99.5, 100.5, 100.0, 103.0):
        sandbox.tick(price)
        book = await client.watch_order_book(SYMBOL, 25)
    view = sandbox.exchange.book(BTC, 25)
    for name, levels in (("bids", view.bids), ("asks", view.asks)):
        assert [tuple(it[:2]) for it in book[name]] == [
            (float(it.price), float(it.quantity)) for it in levels
        ]


async def test_ccxt_places_changes_cancels_and_watches_its_orders(sandbox: Sandbox, client: Any) -> None:
    await client.load_markets()
    watching = asyncio.ensure_future(client.watch_orders())
    await asyncio.sleep(0.1)
    placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.5, 90.0, {"clientOrderId": "mine-1"})
    assert [it["id"] for it in await asyncio.wait_for(watching, PATIENCE)] == [placed["id"]]
    [resting] = sandbox.exchange.open_orders("demo")
    assert (resting.order_id, resting.limit_price) == (placed["id"], Decimal("90.0"))
    await client.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.25, 91.0)
    [amended] = sandbox.exchange.open_orders("demo")
    assert (amended.request.quantity, amended.limit_price) == (Decimal("0.25"), Decimal("91.0"))
    await client.cancel_order_ws(placed["id"])
    assert sandbox.exchange.open_orders("demo") == []


async def test_ccxt_watches_its_fills_and_its_balance(sandbox: Sandbox, client: Any) -> None:
    await client.load_markets()
    watching = asyncio.ensure_future(client.watch_my_trades())
    balance = await client.watch_balance()
    assert balance["total"]["USDT"] == 100_000
    await asyncio.sleep(0.1)
    placed = await client.create_order_ws(SYMBOL, "market", "buy", 0.5)
    trades = await asyncio.wait_for(watching, PATIENCE)
    fills = sandbox.exchange.fills_of_order(placed["id"])
    assert [(it["id"], it["price"], it["amount"]) for it in trades] == [
        (fill.execution_id, float(fill.price), float(fill.quantity)) for fill in fills
    ]
    while client.balance["spot"]["total"]["BTC"] != 1.5:
        balance = await client.watch_balance()


async def test_ccxt_raises_the_error_of_a_refused_order(sandbox: Sandbox, client: Any) -> None:
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Insufficient funds"):
        await client.create_order_ws(SYMBOL, "limit", "buy", 5000, 90.0)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order_ws("OAAAAA-BBBBB-CCCCCC")
