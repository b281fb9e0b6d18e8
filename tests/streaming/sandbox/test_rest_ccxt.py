"""ccxt's Kraken client, pointed at the sandbox by URL alone, trades as it would at Kraken."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import ccxt
import pytest
from anyio.from_thread import start_blocking_portal

from tests.streaming.sandbox.rest_rig import BTC, serve_rest


class Client(ccxt.kraken):
    """ccxt's own client without a change; it may be closed."""

    def close(self) -> None:
        self.session.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client that blocks, so the API is served by an event loop of another thread."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve_rest(tmp_path)) as api,
    ):
        portal.call(api.trade, BTC, "36500.0")
        url = {"public": api.url, "private": api.url}
        options: Any = {"apiKey": api.key.key, "secret": api.key.secret, "enableRateLimit": False}
        with closing(Client({**options, "urls": {"api": url}})) as client:
            yield client


def test_markets_are_loaded(client: Client) -> None:
    markets = client.load_markets()
    assert set(markets) == {"BTC/USDT", "XRP/USDT", "XRP/BTC"}
    bitcoin = markets["BTC/USDT"]
    assert (bitcoin["active"], bitcoin["margin"], bitcoin["taker"]) == (True, True, 0.004)
    assert bitcoin["precision"] == {"amount": 1e-8, "price": 0.1}
    assert bitcoin["limits"]["amount"]["min"] == 0.00005
    assert client.markets["XRP/BTC"]["margin"] is False
    assert set(client.currencies) >= {"BTC", "USDT", "XRP"}
    assert client.fetch_status()["status"] == "ok"
    assert client.fetch_time() == 1763726400000


def test_the_market_is_read(client: Client) -> None:
    candles = client.fetch_ohlcv("BTC/USDT", "1m")
    assert len(candles) > 100
    assert all(b[0] - a[0] == 60_000 for a, b in pairwise(candles))
    since = candles[-10][0]
    assert client.fetch_ohlcv("BTC/USDT", "1m", since=since)[0][0] == since
    trades = client.fetch_trades("BTC/USDT", limit=20)
    assert len(trades) == 20
    assert trades[-1]["price"] == 36500.0
    book = client.fetch_order_book("BTC/USDT", 5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    ticker = client.fetch_ticker("BTC/USDT")
    assert ticker["bid"] == book["bids"][0][0] < ticker["last"] < ticker["ask"] == book["asks"][0][0]
    assert set(client.fetch_tickers()) == {"BTC/USDT", "XRP/USDT", "XRP/BTC"}


def test_an_order_is_created_edited_and_cancelled(client: Client) -> None:
    order = client.create_order("BTC/USDT", "limit", "buy", 0.5, 30000, {"clientOrderId": "mine"})
    assert (order["symbol"], order["side"], order["amount"], order["price"]) == (
        "BTC/USDT",
        "buy",
        0.5,
        30000,
    )
    [waiting] = client.fetch_open_orders("BTC/USDT")
    assert (waiting["id"], waiting["clientOrderId"]) == (order["id"], "mine")
    assert (waiting["status"], waiting["remaining"]) == ("open", 0.5)
    client.edit_order(order["id"], "BTC/USDT", "limit", "buy", 0.4, 31000)
    edited = client.fetch_order(order["id"])
    assert (edited["amount"], edited["price"]) == (0.4, 31000)
    client.cancel_order(order["id"])
    assert client.fetch_open_orders() == []
    [closed] = client.fetch_closed_orders("BTC/USDT")
    assert (closed["id"], closed["status"]) == (order["id"], "canceled")
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order(order["id"])
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("OAAAAA-AAAAA-AAAAAA")


def test_a_market_order_is_filled_and_accounted(client: Client) -> None:
    before = client.fetch_balance()
    created = client.create_order("BTC/USDT", "market", "buy", 0.1)
    order = client.fetch_order(created["id"])
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.1, 36511.0)
    assert (order["fee"]["cost"], order["fee"]["currency"]) == ("14.60440", "USDT")
    [fill] = client.fetch_my_trades("BTC/USDT")
    assert (fill["order"], fill["takerOrMaker"], fill["cost"]) == (created["id"], "taker", 3651.1)
    [same] = client.fetch_order_trades(created["id"], "BTC/USDT", params={"trades": order["trades"]})
    assert same["price"] == fill["price"]
    after = client.fetch_balance()
    assert after["BTC"]["total"] - before["BTC"]["total"] == pytest.approx(0.1)
    assert before["USDT"]["total"] - after["USDT"]["total"] == pytest.approx(3651.1 + 14.6044)


@pytest.mark.parametrize(
    ("kind", "price", "params", "words"),
    [
        ("limit", 35900, {"stopLossPrice": 36000}, "stop loss 36000.0 -> limit 35900.0"),
        ("market", None, {"takeProfitPrice": 38000}, "take profit 38000.0"),
        ("market", None, {"trailingPercent": "1.5"}, "trailing stop +1.5000%"),
        ("market", None, {"trailingAmount": "100"}, "trailing stop +100.0"),
        (
            "limit",
            None,
            {"trailingPercent": "5", "trailingLimitPercent": "4"},
            "trailing stop +5.0000% -> limit -4.0000%",
        ),
        ("limit", 39000, {"postOnly": True}, "limit 39000.0"),
        (
            "limit",
            39000,
            {"close": {"ordertype": "limit", "price": 30000}},
            "limit 39000.0",
        ),
        ("limit", 39000, {"timeInForce": "GTC", "leverage": 3}, "limit 39000.0 with 3:1 leverage"),
    ],
)
def test_every_kind_of_order_is_taken(
    client: Client, kind: str, price: float | None, params: dict, words: str
) -> None:
    order = client.create_order("BTC/USDT", kind, "sell", 0.1, price, params)
    assert order["info"]["descr"]["order"] == f"sell 0.10000000 XBTUSDT @ {words}"
    [waiting] = client.fetch_open_orders()
    assert waiting["id"] == order["id"]


def test_everything_can_be_cancelled(client: Client) -> None:
    for _ in range(3):
        client.create_order("XRP/BTC", "limit", "sell", 100, 0.00002)
    client.cancel_all_orders_after(60_000)
    client.cancel_all_orders()
    assert client.fetch_open_orders() == []


def test_a_margin_position_is_listed(client: Client) -> None:
    client.create_order("BTC/USDT", "market", "sell", 0.1, None, {"leverage": 2})
    [position] = client.fetch_positions()
    assert (position["symbol"], position["side"], position["leverage"]) == ("BTC/USDT", "short", 2)
    assert position["contracts"] == 0.1


def test_fees_are_read(client: Client) -> None:
    fee = client.fetch_trading_fee("BTC/USDT")
    assert (fee["taker"], fee["maker"]) == (0.004, 0.0025)


def test_errors_are_understood(client: Client) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order("BTC/USDT", "limit", "buy", 1000, 30000)
    with pytest.raises(ccxt.InvalidOrder):
        client.create_order("BTC/USDT", "limit", "buy", 0.00001, 30000)
    client.secret = "AAAA"
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        client.fetch_balance()


def test_a_second_client_whose_clock_is_behind_is_refused(client: Client) -> None:
    client.fetch_balance()
    behind = {
        "enableRateLimit": False,
        "options": {"timeDifference": 60_000},
        "urls": {"api": client.urls["api"]},
    }
    with (
        closing(Client({**behind, "apiKey": client.apiKey, "secret": client.secret})) as second,
        pytest.raises(ccxt.InvalidNonce),
    ):
        second.fetch_balance()
