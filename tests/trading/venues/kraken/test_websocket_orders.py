"""Orders over the WebSocket, on a server whose every answer is scripted, with REST behind it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.protocol import State
from websockets.sync.server import ServerConnection

from tests.doubles.kraken import CREDENTIALS, KrakenDouble, running
from tests.doubles.kraken_socket import (
    PATIENCE,
    Request,
    SocketDouble,
    calling,
    cut,
    hold,
    refusing,
    saying,
    send,
    socket_running,
)
from tests.doubles.stores import MemoryKeyState
from trading.errors import (
    MarketloomError,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.market import Pair
from trading.orders import Side
from trading.venues.kraken import Allowance, KrakenClient, RateLimit
from trading.venues.kraken.order_calls import OrdersWithFallback
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest
from trading.venues.kraken.websocket_link import Link, NotConnected, WebSocketLimits
from trading.venues.kraken.websocket_messages import ExecutionReport
from trading.venues.kraken.websocket_orders import WebSocketOrders, private_url

BTC = Pair("BTC", "USDT")
GENEROUS = Allowance(RateLimit(1000, 100), RateLimit(1000, 100))
ORDER = OrderRequest(BTC, Side.BUY, Decimal("0.00012300"), KrakenOrderType.LIMIT, Decimal("20000.10"))
SOON = WebSocketLimits(answer=0.3)  # for what never comes
LATE = WebSocketLimits(opening=PATIENCE, answer=PATIENCE, silence=PATIENCE)  # nothing is waited for so long
FILLED = {"order_id": "O1", "exec_type": "filled", "order_status": "filled", "cum_qty": 0.25}
HEARTBEAT = b'{"channel":"heartbeat"}'


class Rig:
    """A client, its two servers, and what a test asks of them."""

    def __init__(self, rest: KrakenDouble, socket: SocketDouble, folder: Path) -> None:
        self.rest = rest
        self.socket = socket
        self.folder = folder
        self.keys = MemoryKeyState()
        self.heard: list[ExecutionReport | None] = []
        self.closing: list[Any] = []

    def client(self, **changes: Any) -> KrakenClient:
        values: dict[str, Any] = {
            "allowance": GENEROUS,
            "public": RateLimit(1000, 100),
            "keys": self.keys,
            **changes,
        }
        client = KrakenClient(self.folder, CREDENTIALS, self.rest.url, **values)
        self.closing.append(client)
        return client

    def orders(
        self, limits: WebSocketLimits = LATE, client: KrakenClient | None = None, patience: float = PATIENCE
    ) -> WebSocketOrders:
        orders = WebSocketOrders(
            client or self.client(), self.socket.url, limits, patience, listener=self.hear
        )
        self.closing.append(orders)
        return orders

    def hear(self, execution: ExecutionReport | None) -> None:
        with self.socket.changed:
            self.heard.append(execution)
            self.socket.changed.notify_all()

    def sent_over_rest(self) -> list[str]:
        return [method for method in self.rest.methods() if method.endswith("Order")]

    def close(self) -> None:
        while self.closing:
            self.closing.pop().close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(KrakenDouble()) as rest, socket_running(SocketDouble()) as socket:
        rig = Rig(rest, socket, tmp_path)
        yield rig
        rig.close()


# --- what is asked and answered


def test_an_order_leaves_with_all_its_digits_and_its_id_comes_back(rig: Rig) -> None:
    added = rig.orders().add_order(ORDER)
    assert added.txid == ["O00002-WEBSO-CKETS0"]
    [frame] = [each for each in rig.socket.frames if "add_order" in each]
    assert '"order_qty":0.00012300' in frame
    assert '"limit_price":20000.10' in frame
    assert '"token":"a-token"' in frame


def test_orders_are_amended_and_cancelled(rig: Rig) -> None:
    orders = rig.orders()
    assert orders.amend_order(BTC, "O1", trigger=Decimal("0.10")).amend_id == "TAMEND-WEBSO-CKETS0"
    assert orders.cancel_order(BTC, client_order_id="mine").count == 1
    amend, cancel = (rig.socket.methods(method)[0]["params"] for method in ("amend_order", "cancel_order"))
    assert amend == {"order_id": "O1", "trigger_price": Decimal("0.10"), "token": "a-token"}
    assert cancel == {"cl_ord_id": ["mine"], "token": "a-token"}


def test_one_connection_with_one_token_serves_all_orders(rig: Rig) -> None:
    orders = rig.orders()
    for _ in range(3):
        orders.add_order(ORDER)
    assert len(rig.socket.connections) == 1
    assert rig.rest.methods().count("GetWebSocketsToken") == 1


def test_nothing_is_opened_before_the_first_order(rig: Rig) -> None:
    rig.orders()
    assert rig.socket.connections == []
    assert rig.rest.methods() == []


def test_it_can_be_opened_before_the_first_order(rig: Rig) -> None:
    orders = rig.orders(patience=0)
    orders.open()
    rig.socket.wait(lambda: rig.socket.methods("subscribe"))
    assert rig.socket.methods("add_order") == []
    orders.close()
    orders.open()
    assert len(rig.socket.connections) == 1


def test_exits_are_all_sent_before_the_first_answer(rig: Rig) -> None:
    orders = rig.orders()
    rig.socket.scripts["add_order"] = [hold] * 8
    calls = [calling(lambda: orders.add_order(ORDER)) for _ in range(8)]
    rig.socket.wait(lambda: len(rig.socket.held) == 8)
    for socket, request in rig.socket.held:
        rig.socket.accept(socket, request)
    assert len({call.result().txid[0] for call in calls}) == 8


def test_answers_out_of_order_reach_the_order_that_they_are_for(rig: Rig) -> None:
    orders = rig.orders()
    rig.socket.scripts["add_order"] = [hold] * 2
    calls = {}
    for number, name in enumerate(("first", "second"), 1):
        request = OrderRequest(BTC, Side.BUY, Decimal(1), client_order_id=name)
        calls[name] = calling(lambda request=request: orders.add_order(request))
        rig.socket.wait(lambda number=number: len(rig.socket.held) == number)
    for socket, request in reversed(rig.socket.held):
        rig.socket.accept(socket, request, result={"order_id": f"id of {request['params']['cl_ord_id']}"})
    assert [calls[name].result().txid for name in calls] == [["id of first"], ["id of second"]]


def test_an_order_that_is_only_checked_has_no_id(rig: Rig) -> None:
    rig.socket.scripts["add_order"] = [
        saying('{"method":"add_order","req_id":REQ,"success":true,"result":{}}')
    ]
    request = OrderRequest(BTC, Side.BUY, Decimal(1), validate=True)
    assert rig.orders().add_order(request).txid == []
    assert rig.socket.methods("add_order")[0]["params"]["validate"] is True


# --- what certainly was not done


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("EOrder:Insufficient funds", VenueRefused),
        ("Unsupported field: 'x' for the given msg type: add order", VenueRefused),
        ("EOrder:Rate limit exceeded", RateLimited),
        ("Exceeded msg rate", RateLimited),
        ("EGeneral:Permission denied", NotAuthorised),
        ("EService:Market in cancel_only mode", VenueUnreachable),
        ("EService:Unavailable", OutcomeUnknown),
        ("something that nobody knows", OutcomeUnknown),
    ],
)
def test_a_refusal_means_what_it_means_over_rest_and_is_not_sent_on(
    rig: Rig, words: str, error: type[MarketloomError]
) -> None:
    rig.socket.scripts["add_order"] = refusing(words)
    client = rig.client()
    with pytest.raises(MarketloomError, match=words[:20]) as caught:
        OrdersWithFallback(rig.orders(client=client), client).add_order(ORDER)
    assert type(caught.value) is error
    assert rig.sent_over_rest() == []


def test_a_token_that_is_not_valid_any_more_is_replaced_and_the_order_goes_over_rest(rig: Rig) -> None:
    client = rig.client()
    orders = rig.orders(client=client)
    first = orders.add_order(ORDER)
    rig.socket.scripts["add_order"] = [hold, *refusing("ESession:Invalid session")]
    earlier = calling(lambda: orders.add_order(ORDER))
    rig.socket.wait(lambda: rig.socket.held)
    refused = calling(lambda: OrdersWithFallback(orders, client).add_order(ORDER))
    assert refused.result().txid == list(rig.rest.orders)
    rig.socket.connections[0].send(HEARTBEAT)
    rig.socket.accept(*rig.socket.held[0])  # what was on its way still gets its answer
    assert earlier.result().txid != first.txid
    rig.socket.wait(lambda: len(rig.socket.connections) == 2)
    assert rig.rest.methods().count("GetWebSocketsToken") == 2
    assert len(orders.add_order(ORDER).txid) == 1


def test_an_order_goes_over_rest_where_nothing_answers_the_websocket(rig: Rig) -> None:
    client = rig.client()
    nowhere = WebSocketOrders(client, "ws://127.0.0.1:1/v2", LATE, PATIENCE)
    rig.closing.append(nowhere)
    for number in (1, 2):
        assert OrdersWithFallback(nowhere, client).add_order(ORDER).txid == list(rig.rest.orders)[-1:]
        assert len(rig.sent_over_rest()) == number
    with pytest.raises(NotConnected, match="no connection"):
        nowhere.add_order(ORDER)


@pytest.mark.parametrize(
    "changes", [{"leverage": 2}, {"order_type": KrakenOrderType.LIMIT, "price": "#5%"}, {"flags": ("viqc",)}]
)
def test_an_order_that_the_websocket_has_no_words_for_goes_over_rest(
    rig: Rig, changes: dict[str, Any]
) -> None:
    client = rig.client()
    request = OrderRequest(**{"pair": BTC, "side": Side.BUY, "quantity": Decimal("0.01"), **changes})
    assert OrdersWithFallback(rig.orders(client=client), client).add_order(request).txid == list(
        rig.rest.orders
    )
    assert rig.socket.methods("add_order") == []


def test_a_subscription_that_is_refused_says_why_there_is_no_connection(rig: Rig) -> None:
    rig.socket.scripts["subscribe"] = refusing("EGeneral:Permission denied")
    with pytest.raises(NotConnected, match="the key may not do this"):
        rig.orders().add_order(ORDER)


def test_a_server_that_never_answers_the_subscription_takes_no_orders(rig: Rig) -> None:
    rig.socket.scripts["subscribe"] = [hold]
    with pytest.raises(NotConnected, match="no subscription"):
        rig.orders(WebSocketLimits(opening=0.3)).add_order(ORDER)
    assert rig.socket.methods("add_order") == []


def test_an_order_does_not_wait_longer_for_a_connection_than_its_patience(rig: Rig) -> None:
    rig.socket.scripts["subscribe"] = [hold]
    client = rig.client()
    orders = OrdersWithFallback(rig.orders(client=client, patience=0.05), client)
    assert orders.add_order(ORDER).txid == list(rig.rest.orders)
    rig.socket.wait(lambda: rig.socket.held)
    rig.socket.accept(*rig.socket.held[0])  # the connection comes up all the same
    while not rig.socket.methods("add_order"):
        orders.add_order(ORDER)


# --- what may have been done


def unknown(rig: Rig, orders: WebSocketOrders, client: KrakenClient) -> str:
    """Send an order that ends as unknown, and is sent once and nowhere else."""
    before = len(rig.socket.methods("add_order"))
    with pytest.raises(OutcomeUnknown) as caught:
        OrdersWithFallback(orders, client).add_order(ORDER)
    assert len(rig.socket.methods("add_order")) == before + 1
    assert rig.sent_over_rest() == []
    return str(caught.value)


def test_an_answer_that_never_comes_leaves_the_outcome_unknown(rig: Rig) -> None:
    client = rig.client()
    rig.socket.scripts["add_order"] = [hold]
    assert "no answer within 0.3 s" in unknown(rig, rig.orders(SOON, client), client)


def test_an_answer_that_comes_too_late_disturbs_no_other(rig: Rig) -> None:
    client = rig.client()
    orders = rig.orders(SOON, client)
    rig.socket.scripts["add_order"] = [hold]
    unknown(rig, orders, client)
    rig.socket.accept(*rig.socket.held[0], result={"order_id": "late"})
    with suppress(OutcomeUnknown):  # on a machine that is too busy to answer in time
        assert orders.add_order(ORDER).txid != ["late"]
    assert len(rig.socket.methods("add_order")) == 2
    assert len(rig.socket.connections) == 1


def test_a_connection_that_breaks_after_the_order_left_leaves_every_outcome_unknown_at_once(rig: Rig) -> None:
    client = rig.client()
    orders = rig.orders(client=client)
    rig.socket.scripts["add_order"] = [hold]
    other = calling(lambda: orders.add_order(ORDER))
    rig.socket.wait(lambda: rig.socket.held)
    rig.socket.scripts["add_order"] = [cut]
    assert "before the answer came" in unknown(rig, orders, client)
    with pytest.raises(OutcomeUnknown):
        other.result()
    rig.socket.wait(lambda: len(rig.socket.connections) == 2)
    assert len(orders.add_order(ORDER).txid) == 1
    assert len(rig.socket.methods("add_order")) == 3


@pytest.mark.parametrize(
    "answer",
    [
        '{"method":"add_order","req_id":REQ,"succ',
        '{"method":"add_order","req_id":REQ,"success":"yes"}',
        '{"method":"add_order","req_id":REQ}',
        '{"method":"cancel_order","req_id":REQ,"success":true,"result":{"order_id":"O1"}}',
        '{"method":"add_order","req_id":REQ,"success":true,"result":{"order_id":7}}',
        '{"method":"add_order","req_id":REQ,"success":true,"result":{}}',
        '{"method":"add_order","req_id":REQ,"success":true}',
    ],
)
def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(rig: Rig, answer: str) -> None:
    client = rig.client()
    orders = rig.orders(SOON, client)
    rig.socket.scripts["add_order"] = [saying(answer)]
    unknown(rig, orders, client)
    with suppress(OutcomeUnknown):  # on a machine that is too busy to answer in time
        orders.add_order(ORDER)
    assert len(rig.socket.methods("add_order")) == 2
    assert len(rig.socket.connections) == 1


def test_a_second_answer_to_the_same_request_is_ignored(rig: Rig) -> None:
    def twice(double: SocketDouble, socket: Any, request: dict[str, Any]) -> None:
        double.accept(socket, request, result={"order_id": "first"})
        double.accept(socket, request, result={"order_id": "second"})

    rig.socket.scripts["add_order"] = [twice]
    orders = rig.orders()
    assert orders.add_order(ORDER).txid == ["first"]
    assert orders.add_order(ORDER).txid not in (["first"], ["second"])


# --- the rate budget


def test_orders_over_both_ways_are_counted_together(rig: Rig) -> None:
    client = rig.client(allowance=Allowance(RateLimit(100, 1), RateLimit(16.5, 0.01)), patience=0)
    orders = rig.orders(client=client)
    order = orders.add_order(ORDER).txid[0]
    client.add_order(ORDER)
    orders.cancel_order(BTC, order)  # 8, for its age is not told
    for way in (orders, client):
        with pytest.raises(RateLimited, match="budget for orders of XBTUSDT is spent"):
            way.add_order(ORDER)
    assert len(rig.socket.methods("add_order")) == 1


def test_a_rate_limit_of_the_venue_holds_for_both_ways(rig: Rig) -> None:
    client = rig.client(allowance=Allowance(RateLimit(100, 1), RateLimit(16.5, 0.01)), patience=0)
    rig.socket.scripts["add_order"] = refusing("EOrder:Rate limit exceeded")
    with pytest.raises(RateLimited, match="EOrder"):
        rig.orders(client=client).add_order(ORDER)
    with pytest.raises(RateLimited, match="budget for orders of XBTUSDT is spent"):
        client.add_order(ORDER)
    assert rig.sent_over_rest() == []


# --- the connection's life


def test_a_silent_connection_is_replaced(rig: Rig) -> None:
    rig.socket.scripts["ping"] = [hold] * 100
    orders = rig.orders(WebSocketLimits(silence=0.2))
    with suppress(MarketloomError):
        orders.add_order(ORDER)
    rig.socket.wait(lambda: len(rig.socket.connections) > 1)


class QuietSocket:
    """Says nothing but what is listed; None is silence."""

    state = State.OPEN

    def __init__(self, *frames: bytes | None) -> None:
        self.frames = list(frames)
        self.sent: list[str] = []
        self.closed = False

    def send(self, frame: str) -> None:
        self.sent.append(frame)

    def recv(self, timeout: float, decode: bool) -> bytes:
        if (frame := self.frames.pop(0)) is None:
            raise TimeoutError
        return frame

    def close(self) -> None:
        self.closed = True


def test_a_quiet_connection_is_asked_for_a_pong_before_it_is_given_up() -> None:
    pong = b'{"method":"pong","req_id":2}'
    socket = QuietSocket(HEARTBEAT, None, pong, HEARTBEAT, None, None)
    link = Link(socket, "a-token", LATE, lambda message: None)  # type: ignore[arg-type]
    assert link.listen() == "silent for 30 s"
    assert [json.loads(frame)["method"] for frame in socket.sent] == ["ping", "ping"]
    assert socket.closed
    with pytest.raises(NotConnected):
        link.request("add_order", {})


def test_connections_of_all_processes_are_counted_together(rig: Rig) -> None:
    few = RateLimit(3, 0.0001)  # the last one is left to others
    first, second, third = (
        WebSocketOrders(rig.client(), rig.socket.url, LATE, PATIENCE, connections=few) for _ in range(3)
    )
    rig.closing += [first, second, third]
    for orders in (first, second):
        orders.add_order(ORDER)
    with pytest.raises(NotConnected, match="budget for connections is spent"):
        third.add_order(ORDER)
    assert len(rig.socket.connections) == 2


def test_garbage_between_the_answers_does_no_harm(rig: Rig) -> None:
    orders = rig.orders()
    orders.add_order(ORDER)
    for frame in (b"\xff\xfe\x00", b"[]", b'{"channel":7}', b"", HEARTBEAT):
        rig.socket.connections[0].send(frame)
    orders.add_order(ORDER)
    assert len(rig.socket.connections) == 1


def test_closing_ends_the_thread_and_whatever_waits(rig: Rig) -> None:
    orders = rig.orders()
    rig.socket.scripts["add_order"] = [hold]
    waiting = calling(lambda: orders.add_order(ORDER))
    rig.socket.wait(lambda: rig.socket.held)
    orders.close()
    with pytest.raises(OutcomeUnknown):
        waiting.result()
    with pytest.raises(NotConnected, match="it was closed"):
        orders.add_order(ORDER)
    assert [each for each in threading.enumerate() if each.name == "kraken-websocket"] == []
    assert len(rig.socket.connections) == 1
    orders.close()


def test_closing_what_was_never_opened_opens_nothing(rig: Rig) -> None:
    orders = rig.orders()
    orders.close()
    with pytest.raises(NotConnected, match="it was closed"):
        orders.add_order(ORDER)
    assert rig.socket.connections == []


@pytest.mark.parametrize(
    ("base", "private"),
    [
        ("https://api.kraken.com", "wss://ws-auth.kraken.com/v2"),
        ("http://127.0.0.1:8750", "ws://127.0.0.1:8750/v2"),
        ("https://sandbox.example/", "wss://sandbox.example/v2"),
    ],
)
def test_the_websocket_lies_beside_the_rest_interface(base: str, private: str) -> None:
    assert private_url(base) == private


# --- what the stream says of orders


def test_the_end_of_an_order_is_known_without_asking(rig: Rig) -> None:
    orders = rig.orders()
    orders.add_order(ORDER)
    waiting = calling(lambda: orders.wait_for_end("O1", PATIENCE))
    rig.socket.report(2, {**FILLED, "exec_type": "trade", "order_status": "partially_filled"})
    rig.socket.report(3, {**FILLED, "cum_qty": 0.30})
    found = waiting.result()
    assert (found.order_status, found.filled) == ("filled", Decimal("0.3"))
    rig.socket.wait(lambda: len(rig.heard) == 2)
    assert [each and each.exec_type for each in rig.heard] == ["trade", "filled"]


def test_a_report_that_is_here_before_the_answer_is_remembered(rig: Rig) -> None:
    def report_first(double: SocketDouble, socket: Any, request: dict[str, Any]) -> None:
        double.report(2, FILLED)
        double.accept(socket, request, result={"order_id": "O1"})

    rig.socket.scripts["add_order"] = [report_first]
    orders = rig.orders()
    [order_id] = orders.add_order(ORDER).txid
    found = orders.wait_for_end(order_id, 0)
    assert found is not None
    assert found.ended


def lose_a_message(rig: Rig, turn: int) -> None:
    rig.socket.report(3 + 2 * turn, {**FILLED, "order_id": "O2"})


def say_nonsense(rig: Rig, turn: int) -> None:
    rig.socket.report(2 + turn, {"order_id": 7})


def break_off(rig: Rig, turn: int) -> None:
    rig.socket.connections[-1].close_socket()


@pytest.mark.parametrize("happens", [lose_a_message, say_nonsense, break_off])
def test_where_reports_were_missed_nobody_waits_for_them(
    rig: Rig, happens: Callable[[Rig, int], None]
) -> None:
    orders = rig.orders()
    orders.add_order(ORDER)
    waiting = calling(lambda: orders.wait_for_end("O1", 10 * PATIENCE))
    for turn in range(100):
        happens(rig, turn)  # again, should it have begun to wait only now
        waiting.thread.join(0.2)
        if not waiting.thread.is_alive():
            break
    assert waiting.result() is None
    assert None in rig.heard


def confirm_alone(double: SocketDouble, socket: ServerConnection, request: Request) -> None:
    send(socket, {"method": "subscribe", "req_id": request["req_id"], "success": True, "result": {}})


def test_reports_that_begin_without_the_snapshot_were_missed(rig: Rig) -> None:
    rig.socket.scripts["subscribe"] = [confirm_alone]
    orders = rig.orders()
    orders.add_order(ORDER)
    rig.socket.report(2, FILLED)
    rig.socket.wait(lambda: len(rig.heard) == 2)
    assert rig.heard[0] is None


def test_nobody_waits_for_reports_while_nothing_is_connected(rig: Rig) -> None:
    assert rig.orders().wait_for_end("O1", 10 * PATIENCE) is None


def test_a_listener_that_fails_does_not_end_the_connection(rig: Rig) -> None:
    def fail(execution: ExecutionReport | None) -> None:
        raise ValueError("not ready")

    orders = WebSocketOrders(rig.client(), rig.socket.url, LATE, PATIENCE, fail)
    rig.closing.append(orders)
    orders.add_order(ORDER)
    rig.socket.report(2, FILLED)
    orders.add_order(ORDER)
    assert orders.wait_for_end("O1", PATIENCE) is not None
    assert len(rig.socket.connections) == 1
