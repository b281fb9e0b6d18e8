"""python-kraken-sdk, REST and WebSocket v2, pointed at the sandbox by its addresses alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from kraken.exceptions import KrakenUnknownOrderError
from kraken.spot import Market, SpotWSClient, Trade, User

from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED

PAIR, SYMBOL = "XBTUSDT", "BTC/USDT"
PATIENCE = 30.0  # seconds
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sdk"), tier=UNHURRIED.name) as running:
        yield running


@pytest.fixture(scope="module")
def market(exchange: Sandbox) -> Market:
    return Market(url=exchange.url)


@pytest.fixture(scope="module")
def user(exchange: Sandbox) -> User:
    return User(exchange.key, exchange.secret, exchange.url)


@pytest.fixture(scope="module")
def trade(exchange: Sandbox) -> Trade:
    return Trade(exchange.key, exchange.secret, exchange.url)


def test_it_reads_the_market(market: Market) -> None:
    assert PAIR in market.get_asset_pairs(pair=PAIR)
    [ticker] = market.get_ticker(pair=PAIR).values()
    [book] = market.get_order_book(pair=PAIR, count=5).values()
    assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["b"][0], ticker["a"][0])
    spreads = market.get_recent_spreads(pair=PAIR)
    assert spreads[PAIR][-1][1:] == [ticker["b"][0], ticker["a"][0]]
    assert len(market.get_ohlc(pair=PAIR, interval=1)[PAIR]) > 500


def test_it_places_amends_and_cancels_orders_one_by_one_and_in_batches(trade: Trade, user: User) -> None:
    [order_id] = trade.create_order(
        ordertype="limit", side="buy", volume=0.01, pair=PAIR, price=20000, oflags="post", timeinforce="GTC"
    )["txid"]
    trade.amend_order(order_id, extra_params={"limit_price": "20500"})
    amends = user.get_order_amends(order_id=order_id)
    assert [(it["amend_type"], it["limit_price"]) for it in amends["amends"]] == [
        ("original", "20000.0"),
        ("user", "20500.0"),
    ]
    limit = {"ordertype": "limit", "type": "buy", "volume": 0.01, "price": 20000}
    batch = trade.create_order_batch(pair=PAIR, orders=[limit, {**limit, "stptype": "cancel-both"}])["orders"]
    ids = [order_id, *(each["txid"] for each in batch)]
    assert list(user.get_open_orders()["open"]) == ids
    assert trade.cancel_order_batch(orders=ids) == {"count": 3}
    with pytest.raises(KrakenUnknownOrderError):
        trade.cancel_order(txid=order_id)


@pytest.mark.parametrize(("flag", "asset", "key"), [("fciq", "USDT", "USDT"), ("fcib", "BTC", "XXBT")])
def test_its_ledger_shows_the_fee_in_the_asset_that_was_asked_for(
    trade: Trade, user: User, flag: str, asset: str, key: str
) -> None:
    [order_id] = trade.create_order(
        ordertype="market", side="buy", volume=0.00123457, pair=PAIR, oflags=flag
    )["txid"]
    order = user.get_orders_info(txid=order_id, trades=True)[order_id]
    [fill_id] = order["trades"]
    entries = user.get_ledgers_info(type_="trade")["ledger"]
    fees = {it["asset"]: Decimal(it["fee"]) for it in entries.values() if it["refid"] == fill_id}
    assert fees[key] == Decimal(order["fee"]) > 0
    assert sum(fees.values()) == fees[key]
    [entry_id, *_] = entries
    assert user.get_ledgers(id_=entry_id) == {entry_id: entries[entry_id]}


@pytest.fixture
async def stream(exchange: Sandbox) -> AsyncIterator[tuple[SpotWSClient, asyncio.Queue[Any]]]:
    received: asyncio.Queue[Any] = asyncio.Queue()
    socket = exchange.websocket.removesuffix("/v2")
    client = SpotWSClient(
        exchange.key,
        exchange.secret,
        received.put,
        rest_url=exchange.url,
        ws_url=socket,
        auth_ws_url=socket,
    )
    async with client:
        await client.start()
        yield client, received


async def until(received: asyncio.Queue[Any], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while not wanted(message := await received.get()):
            pass
    found: dict[str, Any] = message
    return found


async def test_its_stream_gets_the_book_and_the_answers_in_the_order_of_its_requests(
    stream: tuple[SpotWSClient, asyncio.Queue[Any]],
) -> None:
    client, received = stream
    await client.subscribe(params={"channel": "executions"})  # its heartbeats let the client end at once, too
    await client.subscribe(params={"channel": "book", "symbol": [SYMBOL]})
    book = await until(received, lambda it: it.get("channel") == "book")
    assert len(book["data"][0]["bids"]) == 10
    order = {
        "order_type": "limit",
        "side": "buy",
        "order_qty": 0.01,
        "limit_price": 20000.0,
        "symbol": SYMBOL,
    }
    for number in range(5):
        name = f"sdk-{number}"
        await client.send_message(
            {"method": "add_order", "params": {**order, "cl_ord_id": name}, "req_id": 2 * number}
        )
        cancel = {"cl_ord_id": [name]}
        await client.send_message({"method": "cancel_order", "params": cancel, "req_id": 2 * number + 1})
    answers = [await until(received, lambda it: "success" in it and "req_id" in it) for _ in range(10)]
    assert [(it["req_id"], it["success"]) for it in answers] == [(number, True) for number in range(10)]
