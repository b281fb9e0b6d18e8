"""The hub over the real exchange: what subscribers receive agrees with the exchange."""

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streaming.sandbox.faults import Faults
from streaming.sandbox.model import NewOrder, OrderType, PriceTerm, Refused, SelfTrade
from streaming.sandbox.rates import PRO, Rates
from streaming.sandbox.websocket.clients import Client, PrivateSubscription, Topic
from streaming.sandbox.websocket.hub import Hub
from streaming.sandbox.websocket.order_requests import AddOrder
from streaming.sandbox.websocket.private import BALANCES, EXECUTIONS
from streaming.sandbox.websocket.requests import Request, parse
from tests.streaming.sandbox.exchange_setup import BTC, Bench, listing
from tests.streaming.sandbox.test_websocket_books import NaiveClient
from tests.streaming.sandbox.websocket_fakes import Listener, Tokens
from trading.orders import Side


class Watched:
    """An exchange that is moved at random, and one client that subscribed to everything."""

    def __init__(self, path: Path) -> None:
        self.bench = Bench(path, {BTC: listing(BTC, levels=30)})
        server = lambda: self.bench.server  # noqa: E731
        exchange = self.bench.exchange
        self.hub = Hub(exchange, Rates(PRO, server), Tokens(), Faults(server), server)
        exchange.listen(self.hub.publish)
        self.bench.open("demo", USD="1000000", BTC="1000")
        self.bench.tick("100")
        self.listener = Listener()
        self.client: Client = self.hub.attach(self.listener)
        self.listener.clear()

    def subscribe(self, channel: str, variant: int | str = 0) -> Topic:
        topic = Topic(channel, BTC, variant)
        self.hub.public.add(self.client, topic)
        return topic

    def move(self, chance: random.Random, steps: int) -> Iterator[None]:
        """One random event of the market or of a trader each time."""
        price = 1000
        for _ in range(steps):
            if chance.random() < 0.6:
                price = max(500, price + chance.choice([-40, -5, -1, 0, 1, 5, 40]))
                self.bench.tick(
                    str(Decimal(price) / 10), str(chance.choice([1, 20, 300])), chance.choice([*Side])
                )
            else:
                self.trade(chance, price)
            yield

    def trade(self, chance: random.Random, price: int) -> None:
        exchange = self.bench.exchange
        rests = exchange.open_orders("demo")
        with suppress(Refused):  # no money left for it
            if rests and chance.random() < 0.4:
                exchange.cancel("demo", chance.choice(rests).order_id)
            else:
                limit = PriceTerm(Decimal(price + chance.randint(-60, 60)) / 10)
                quantity = Decimal(chance.choice([1, 7, 50]))
                order = NewOrder(BTC, chance.choice([*Side]), OrderType.LIMIT, quantity, limit=limit)
                exchange.add("demo", order)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "exchange.sqlite")
    yield watched
    watched.bench.store.close()


@pytest.mark.parametrize("depth", [10, 25, 100])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_client_s_book_and_its_checksums_follow_the_exchange(
    watched: Watched, depth: int, seed: int
) -> None:
    topic = watched.subscribe("book", depth)
    client = NaiveClient(depth)
    client.publish(watched.hub.public.snapshot(topic))
    for _ in watched.move(random.Random(seed), 300):
        for payload in watched.listener.payloads:
            client.publish(payload)
        watched.listener.clear()
        view = watched.bench.exchange.book(BTC, depth)
        assert _plain(client.bids) == {level.price: level.quantity for level in view.bids}
        assert _plain(client.asks) == {level.price: level.quantity for level in view.asks}


def _plain(side: dict[str, str]) -> dict[Decimal, Decimal]:
    return {Decimal(price): Decimal(quantity) for price, quantity in side.items()}


def test_trades_are_numbered_without_a_gap_and_candles_agree_with_the_tape(watched: Watched) -> None:
    watched.subscribe("trade")
    watched.subscribe("ohlc", 1)
    for _ in watched.move(random.Random(3), 300):
        watched.bench.server += 1
    trades = [it for message in watched.listener.of("trade") for it in message["data"]]
    numbers = [it["trade_id"] for it in trades]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 100
    candles = {it["interval_begin"]: it for message in watched.listener.of("ohlc") for it in message["data"]}
    bars = watched.bench.exchange.tape(BTC).bars(1)
    assert len(bars) > 2
    for bar in bars:
        candle = candles[bar.open_time.isoformat(timespec="microseconds")[:26] + "000Z"]
        numbers = [Decimal(candle[name]) for name in ("open", "high", "low", "close", "volume")]
        assert numbers == [bar.open, bar.high, bar.low, bar.close, bar.volume]
        end = (bar.open_time + timedelta(minutes=1)).isoformat(timespec="microseconds")[:26] + "Z"
        assert (candle["trades"], candle["timestamp"]) == (bar.trades, end)


def test_the_events_of_an_account_add_up_to_its_balances(watched: Watched) -> None:
    for channel in (EXECUTIONS, BALANCES):
        watched.hub.private.add(watched.client, PrivateSubscription("demo", channel, "good"))
    balances = watched.bench.exchange.balances("demo")
    for _ in watched.move(random.Random(4), 300):
        pass
    ledger: list[dict[str, Any]] = []
    for channel in (EXECUTIONS, BALANCES):
        messages = watched.listener.of(channel)
        assert [it["sequence"] for it in messages] == list(range(1, len(messages) + 1))
        assert len(messages) > 20
        ledger = [row for message in messages for row in message["data"]]
    for row in ledger:
        balances[row["asset"]] += Decimal(str(row["amount"]))
        assert balances[row["asset"]] == Decimal(str(row["balance"]))
    assert balances == watched.bench.exchange.balances("demo")
    fills = [
        row for it in watched.listener.of(EXECUTIONS) for row in it["data"] if row["exec_type"] == "trade"
    ]
    known, count = watched.bench.exchange.fills("demo", limit=1000)
    assert count == len(fills) > 10
    assert {row["exec_id"]: Decimal(str(row["last_qty"])) for row in fills} == {
        fill.execution_id: fill.quantity for fill in known
    }


def test_every_frame_is_valid_json_of_one_line(watched: Watched) -> None:
    for channel, variant in (
        ("book", 10),
        ("trade", 0),
        ("ohlc", 5),
        ("ticker", "trades"),
        ("ticker", "bbo"),
    ):
        watched.subscribe(channel, variant)
    for _ in watched.move(random.Random(5), 50):
        pass
    assert len(watched.listener.payloads) > 50
    for payload in watched.listener.payloads:
        json.loads(payload)
        assert b"\n" not in payload


def test_a_fee_in_base_currency_is_charged_from_it_and_reported_in_it(watched: Watched) -> None:
    watched.hub.private.add(watched.client, PrivateSubscription("demo", EXECUTIONS, "good"))
    terms = {"order_type": "market", "side": "buy", "order_qty": 2, "symbol": "BTC/USD", "token": "good"}
    wishes = {"fee_preference": "base", "stp_type": "cancel_both"}
    request = parse(json.dumps({"method": "add_order", "params": terms | wishes}))
    assert isinstance(request, Request)
    assert isinstance(request.body, AddOrder)
    before = watched.bench.exchange.balances("demo")
    watched.bench.exchange.add("demo", request.body.order)
    after = watched.bench.exchange.balances("demo")
    rows = [row for it in watched.listener.of(EXECUTIONS) for row in it["data"]]
    charged = [fee for row in rows if row["exec_type"] == "trade" for fee in row["fees"]]
    assert {fee["asset"] for fee in charged} == {"BTC"}
    fee = sum(Decimal(str(fee["qty"])) for fee in charged)
    assert (fee, after["BTC"] - before["BTC"]) == (Decimal("0.008"), Decimal("1.992"))
    assert rows[0]["fee_ccy_pref"] == "fcib"
    assert request.body.order.self_trade is SelfTrade.CANCEL_BOTH
