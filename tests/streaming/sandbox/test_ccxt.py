"""ccxt's Kraken client, REST and WebSocket, pointed at the sandbox by URL alone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, MARKET, STARTS
from trading.market import Timeframe

SYMBOL = "BTC/USDT"
PATIENCE = 20.0  # seconds
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("ccxt")) as running:
        yield running


@pytest.fixture
async def client(exchange: Sandbox) -> AsyncIterator[Any]:
    import ccxt.pro  # a hundred exchanges: not in every process that only lists the tests

    options = {"apiKey": exchange.key, "secret": exchange.secret, "enableRateLimit": False}
    async with ccxt.pro.kraken(options) as client:
        addresses = client.urls["api"]
        addresses |= {"public": exchange.url, "private": exchange.url}
        addresses["ws"] = dict.fromkeys(addresses["ws"], exchange.websocket)
        yield client


async def test_it_finds_the_markets_with_their_increments_minimums_fees_and_leverage(client: Any) -> None:
    markets = await client.load_markets()
    assert sorted(markets) == ["BTC/USDT", "XRP/BTC", "XRP/USDT"]
    market = markets[SYMBOL]
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 1e-8)
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.00005, 0.5)
    assert (market["taker"], market["maker"], market["limits"]["leverage"]["max"]) == (0.004, 0.0025, 3)
    assert market["active"]


async def test_its_candles_are_those_that_are_replayed(client: Any) -> None:
    rows = await client.fetch_ohlcv(SYMBOL, "1m")
    closed = {row[0]: row[1:] for row in rows[:-1]}
    replayed = MARKET.candles(BTC, STARTS - 600 * Timeframe.M1.duration, STARTS)
    compared = 0
    for candle in replayed.iter_rows(named=True):
        found = closed[int(candle["open_time"].timestamp() * 1000)]
        assert found[:4] == pytest.approx(
            [candle[each] for each in ("open", "high", "low", "close")], abs=0.051
        )
        assert found[4] == pytest.approx(candle["volume"], abs=1e-8)
        compared += 1
    assert compared > 550


async def test_it_reads_trades_the_book_and_the_ticker(client: Any) -> None:
    trades = await client.fetch_trades(SYMBOL)
    book = await client.fetch_order_book(SYMBOL, 10)
    ticker = await client.fetch_ticker(SYMBOL)
    assert trades[-1]["price"] == ticker["last"]
    assert {trade["side"] for trade in trades} == {"buy", "sell"}
    assert (len(book["bids"]), len(book["asks"])) == (10, 10)
    assert book["bids"][0][0] == ticker["bid"] < ticker["last"] < ticker["ask"] == book["asks"][0][0]


async def test_an_order_is_created_changed_found_and_cancelled(client: Any) -> None:
    created = await client.create_order(SYMBOL, "limit", "buy", 0.01, 20_000, {"clientOrderId": "mine-1"})
    await client.edit_order(created["id"], SYMBOL, "limit", "buy", 0.01, 21_000)
    [found] = await client.fetch_open_orders(SYMBOL)
    assert (found["id"], found["price"], found["amount"]) == (created["id"], 21_000, 0.01)
    assert (found["clientOrderId"], found["status"]) == ("mine-1", "open")
    await client.cancel_order(created["id"])
    assert await client.fetch_open_orders(SYMBOL) == []
    ended = await client.fetch_order(created["id"])
    assert (ended["status"], ended["filled"]) == ("canceled", 0)
    assert created["id"] in {order["id"] for order in await client.fetch_closed_orders(SYMBOL)}


async def test_the_cost_of_a_market_order_is_taken_from_the_balance(client: Any) -> None:
    before = await client.fetch_balance()
    created = await client.create_order(SYMBOL, "market", "buy", 0.02)
    order = await client.fetch_order(created["id"])
    [fill] = [fill for fill in await client.fetch_my_trades(SYMBOL) if fill["order"] == created["id"]]
    after = await client.fetch_balance()
    assert (order["status"], order["filled"]) == ("closed", 0.02)
    paid = Decimal(str(fill["cost"])) + Decimal(str(fill["fee"]["cost"]))
    assert fill["fee"]["cost"] == pytest.approx(fill["cost"] * 0.004, abs=1e-5)
    assert after["total"]["BTC"] - before["total"]["BTC"] == pytest.approx(0.02)
    assert before["total"]["USDT"] - after["total"]["USDT"] == pytest.approx(float(paid), abs=1e-4)


async def test_it_watches_trades_candles_the_book_and_the_ticker(exchange: Sandbox, client: Any) -> None:
    await client.load_markets()
    watching = asyncio.gather(
        client.watch_trades(SYMBOL),
        client.watch_order_book(SYMBOL, 25),
        client.watch_ohlcv(SYMBOL, "1m"),
        client.watch_ticker(SYMBOL),
    )
    async with asyncio.timeout(PATIENCE):
        while not watching.done():
            await asyncio.to_thread(exchange.advance, 60)
            await asyncio.sleep(0.05)
    trades, book, candles, ticker = watching.result()
    assert trades[-1]["symbol"] == ticker["symbol"] == SYMBOL
    assert len(book["bids"]) == len(book["asks"]) == 25
    assert book["bids"][0][0] < book["asks"][0][0]
    assert candles[-1][4] > 0


async def test_it_watches_its_own_orders_and_fills_and_trades_over_the_websocket(client: Any) -> None:
    await client.load_markets()
    watching = asyncio.gather(client.watch_orders(SYMBOL), client.watch_my_trades(SYMBOL))
    await asyncio.sleep(0.5)
    created = await client.create_order_ws(SYMBOL, "market", "sell", 0.01)
    orders, fills = await asyncio.wait_for(watching, PATIENCE)
    assert created["id"] in {order["id"] for order in orders}
    assert (fills[-1]["order"], fills[-1]["amount"], fills[-1]["side"]) == (created["id"], 0.01, "sell")
