"""Kraken's client over the WebSocket, on the sandbox: orders with their stops, and an exchange that misbehaves."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.trade import OPENING
from tests.contracts.venues import kraken_client
from tests.doubles.threads import at_once
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, UNHURRIED
from trading.errors import MarketloomError, OutcomeUnknown, RateLimited, VenueRefused, VenueUnreachable
from trading.orders import Side
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.order_calls import OrdersWithFallback
from trading.venues.kraken.order_request import (
    QUOTE_FEE,
    ConditionalClose,
    KrakenOrderType,
    KrakenTimeInForce,
    OrderRequest,
)
from trading.venues.kraken.websocket_link import WebSocketLimits
from trading.venues.kraken.websocket_messages import ExecutionReport
from trading.venues.kraken.websocket_orders import WebSocketOrders, private_url

PATIENCE = 30.0  # seconds, for what comes
LIMIT = Decimal("20000.10")  # far below the market: rests
LATE = WebSocketLimits(opening=PATIENCE, answer=PATIENCE, silence=PATIENCE)
SOON = WebSocketLimits(opening=PATIENCE, answer=0.5, silence=PATIENCE)  # for answers that do not come

TERMS = (
    "side", "order_type", "quantity", "limit_price", "trigger_price", "limit_term", "trigger_term", "close_order",
    "time_in_force", "expires_at", "post_only", "reduce_only", "user_reference", "state", "filled",
)  # fmt: skip
BOTH_WAYS: list[dict[str, Any]] = [
    {"close": ConditionalClose(KrakenOrderType.STOP_LOSS, LIMIT)},
    {"close": ConditionalClose(KrakenOrderType.STOP_LOSS_LIMIT, LIMIT, LIMIT - 1)},
    {"order_type": KrakenOrderType.LIMIT, "price": LIMIT, "flags": ("post", QUOTE_FEE), "user_reference": 7},
    {"order_type": KrakenOrderType.LIMIT, "price": "-5%", "time_in_force": KrakenTimeInForce.IOC},
    {
        "order_type": KrakenOrderType.LIMIT, "price": LIMIT, "time_in_force": KrakenTimeInForce.GTD,
        "expires_at": datetime(2040, 1, 1, tzinfo=UTC),
    },
    {"order_type": KrakenOrderType.STOP_LOSS, "side": Side.SELL, "price": LIMIT},
    {"order_type": KrakenOrderType.TAKE_PROFIT_LIMIT, "side": Side.SELL, "price": "+5%", "price2": "-1.5"},
    {"order_type": KrakenOrderType.TRAILING_STOP, "side": Side.SELL, "price": "+2.5%"},
]  # fmt: skip


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as running:
        yield running


@dataclass
class Trader:
    exchange: Sandbox
    folder: Path
    account: str = field(default_factory=lambda: str(uuid4()))
    heard: list[ExecutionReport | None] = field(default_factory=list)
    closing: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = self.exchange.open_account(self.account, OPENING)
        self.client: KrakenClient = kraken_client(self.exchange, self.folder)
        self.closing.append(self.client)

    def orders(self, limits: WebSocketLimits = LATE) -> WebSocketOrders:
        orders = WebSocketOrders(
            self.client, private_url(self.exchange.url), limits, PATIENCE, self.heard.append
        )
        self.closing.append(orders)
        return orders

    def either_way(self, limits: WebSocketLimits = LATE) -> OrdersWithFallback:
        return OrdersWithFallback(self.orders(limits), self.client)

    def at_the_exchange(self, name: str = "") -> list[dict[str, Any]]:
        rows = self.exchange.export()["orders"]
        return [it for it in rows if it["account"] == self.account and name in ("", it["client_order_id"])]

    def close(self) -> None:
        while self.closing:
            self.closing.pop().close()


@pytest.fixture
def trader(exchange: Sandbox, tmp_path: Path) -> Iterator[Trader]:
    trader = Trader(exchange, tmp_path)
    yield trader
    exchange.disarm()
    trader.close()


def order(name: str = "", **changes: Any) -> OrderRequest:
    """A market order."""
    values = {"pair": BTC, "side": Side.BUY, "quantity": Decimal("0.00123000"), "client_order_id": name}
    return OrderRequest(**{**values, "flags": (QUOTE_FEE,), **changes})


def resting(name: str = "", **changes: Any) -> OrderRequest:
    return order(name, **{"order_type": KrakenOrderType.LIMIT, "price": LIMIT, **changes})


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=40)


# --- orders


def test_an_order_is_at_the_exchange_as_it_was_asked_for(trader: Trader) -> None:
    orders = trader.orders()
    [order_id] = orders.add_order(resting("mine", deadline=soon())).txid
    [placed] = trader.at_the_exchange()
    assert (placed["order_id"], placed["client_order_id"], placed["state"]) == (order_id, "mine", "open")
    assert (Decimal(placed["quantity"]), Decimal(placed["limit_price"])) == (Decimal("0.00123"), LIMIT)
    orders.amend_order(BTC, order_id, limit=LIMIT + 1, quantity=Decimal("0.002"), deadline=soon())
    [amended] = trader.at_the_exchange()
    assert (Decimal(amended["quantity"]), Decimal(amended["limit_price"])) == (Decimal("0.002"), LIMIT + 1)
    orders.cancel_order(BTC, client_order_id="mine")
    assert trader.at_the_exchange()[0]["state"] == "canceled"
    with pytest.raises(VenueRefused, match="EOrder:Unknown order"):
        orders.cancel_order(BTC, order_id)


def test_an_entry_brings_its_stop_and_the_stop_can_be_moved(trader: Trader) -> None:
    orders = trader.orders()
    stop = ConditionalClose(KrakenOrderType.STOP_LOSS, LIMIT)
    [order_id] = orders.add_order(order("entry", close=stop)).txid
    filled = orders.wait_for_end(order_id, PATIENCE)
    assert filled is not None
    assert (filled.order_status, filled.filled) == ("filled", Decimal("0.00123"))
    [(stop_id, resting_stop)] = trader.client.open_orders().items()
    assert (resting_stop.descr.ordertype, resting_stop.vol) == ("stop-loss", Decimal("0.00123"))
    orders.amend_order(BTC, stop_id, trigger=LIMIT + 5)
    [moved] = [it for it in trader.at_the_exchange() if it["order_id"] == stop_id]
    assert Decimal(moved["trigger_price"]) == LIMIT + 5


def test_the_stream_names_the_fills_that_rest_knows(trader: Trader) -> None:
    orders = trader.orders()
    [order_id] = orders.add_order(order()).txid
    assert orders.wait_for_end(order_id, PATIENCE) is not None
    named = {each.fill_id for each in trader.heard if each and each.exec_type == "trade"}
    assert named == set(trader.client.query_orders([order_id])[order_id].trades)
    assert None not in trader.heard


def test_an_order_that_is_cancelled_or_expires_is_known_to_have_ended(trader: Trader) -> None:
    orders = trader.orders()
    [order_id] = orders.add_order(resting()).txid
    trader.client.cancel_order(BTC, order_id)  # by anybody, over REST
    ended = orders.wait_for_end(order_id, PATIENCE)
    assert ended is not None
    assert (ended.order_status, ended.filled) == ("canceled", Decimal(0))


def test_many_threads_place_each_of_their_orders_once(trader: Trader) -> None:
    orders = trader.either_way()
    names = [f"{number}" for number in range(24)]
    placed = at_once(lambda name: orders.add_order(resting(name, quantity=Decimal("0.0001"))).txid[0], names)
    assert {it["client_order_id"]: it["order_id"] for it in trader.at_the_exchange()} == dict(
        zip(names, placed, strict=True)
    )


@pytest.mark.parametrize("terms", BOTH_WAYS)
def test_both_ways_ask_the_exchange_for_the_same_order(trader: Trader, terms: dict[str, Any]) -> None:
    for way in (trader.orders(), trader.client):
        way.add_order(order(**terms))
    placed = [[it[term] for term in TERMS] for it in trader.at_the_exchange()]
    half = len(placed) // 2
    assert half
    assert placed[:half] == placed[half:]


# --- the exchange misbehaves


AFTER_IT_WAS_TAKEN: dict[str, dict[str, Any]] = {"lost_ack": {}, "slow_ack": {"seconds": 600}}


@pytest.mark.parametrize("kind", AFTER_IT_WAS_TAKEN)
def test_an_order_whose_answer_does_not_come_is_unknown_and_there_once(trader: Trader, kind: str) -> None:
    orders = trader.either_way(SOON)
    trader.exchange.arm(kind, method="add_order", **AFTER_IT_WAS_TAKEN[kind])
    with pytest.raises(OutcomeUnknown, match="no answer within"):
        orders.add_order(resting("once"))
    trader.exchange.disarm()
    assert len(trader.at_the_exchange("once")) == 1
    assert list(trader.client.open_orders("once")) == [it["order_id"] for it in trader.at_the_exchange()]


def test_a_connection_that_is_cut_at_the_order_leaves_it_unknown_though_it_was_not_taken(
    trader: Trader,
) -> None:
    orders = trader.either_way()
    trader.exchange.arm("disconnect", method="add_order", count=1)
    with pytest.raises(OutcomeUnknown):
        orders.add_order(resting("cut"))
    assert trader.at_the_exchange("cut") == []
    assert len(orders.add_order(resting("next")).txid) == 1
    assert len(trader.at_the_exchange("next")) == 1


def test_a_token_that_has_expired_sends_the_order_over_rest(trader: Trader) -> None:
    orders = trader.either_way()
    orders.add_order(resting("first"))
    trader.exchange.arm("token_expiry", method="add_order", count=1)
    for name in ("second", "third"):
        orders.add_order(resting(name))
        assert len(trader.at_the_exchange(name)) == 1


@pytest.mark.parametrize(
    ("kind", "how", "error"),
    [
        ("rate_limit", {"method": "add_order"}, RateLimited),
        ("cancel_only", {}, VenueUnreachable),
        ("maintenance", {}, OutcomeUnknown),
    ],
)
def test_an_order_that_is_kept_out_is_nowhere(
    trader: Trader, kind: str, how: dict[str, Any], error: type[MarketloomError]
) -> None:
    orders = trader.either_way()
    orders.cancel_order(BTC, orders.add_order(resting("before")).txid[0])
    trader.exchange.arm(kind, **how)
    with pytest.raises(error):
        orders.add_order(resting("kept-out"))
    assert trader.at_the_exchange("kept-out") == []


def test_garbage_before_an_answer_does_not_hide_it(trader: Trader) -> None:
    orders = trader.orders()
    trader.exchange.arm("garbage_frame", method="add_order")
    for number in range(5):
        orders.add_order(resting(f"{number}"))
        assert len(trader.at_the_exchange(f"{number}")) == 1


def test_a_gap_in_the_numbers_is_noticed(trader: Trader) -> None:
    orders = trader.orders()
    orders.add_order(resting())
    trader.exchange.arm("sequence_gap", channel="executions", count=1)
    [order_id] = orders.add_order(resting()).txid
    orders.cancel_order(BTC, order_id)
    assert orders.wait_for_end(order_id, PATIENCE) is not None
    assert None in trader.heard


def test_a_sandbox_that_was_restarted_is_found_again(tmp_path: Path) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name) as first:
        trader = Trader(first, tmp_path / "client")
        orders = trader.either_way()
        orders.add_order(resting("first"))
        port = first.running.url.rpartition(":")[2]
    with suppress(OutcomeUnknown), pytest.raises(VenueUnreachable):  # the end is noticed by then, or now
        orders.add_order(resting("nowhere"))
    with pytest.raises(VenueUnreachable):
        orders.add_order(resting("nowhere"))
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name, port=int(port)) as second:
        trader.exchange = second
        assert len(orders.add_order(resting("second")).txid) == 1
        assert [it["client_order_id"] for it in trader.at_the_exchange()] == ["first", "second"]
        trader.close()
