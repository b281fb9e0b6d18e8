"""Requests of clients are read correctly, and each of them gets a response."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.sandbox.model import (
    Amendment,
    CloseOrder,
    NewOrder,
    OrderType,
    PriceTerm,
    PriceUnit,
    TimeInForce,
)
from streaming.sandbox.references import TXID, Reference, ReferenceKind
from streaming.sandbox.websocket.order_fields import CancelAll, CancelAllAfter
from streaming.sandbox.websocket.order_requests import AddOrder, BatchAdd, ChangeOrder
from streaming.sandbox.websocket.requests import Ping, RefusedRequest, Request, parse
from streaming.sandbox.websocket.subscription_requests import Subscription
from tests.streaming.sandbox.websocket_fakes import BTC
from trading.orders import Side

INVALID = "EGeneral:Invalid arguments:"
EXCLUSIVE = f"{INVALID}cl_ord_id and order_userref are mutually exclusive"
UNSUPPORTED = "Unsupported field: 'depth' for the given msg type: subscribe"
LIMIT: dict[str, Any] = {
    "order_type": "limit",
    "side": "buy",
    "order_qty": 0.1,
    "limit_price": 100.5,
    "symbol": "BTC/USDT",
    "token": "good",
}


def body(method: str, params: object = None, **more: object) -> Any:
    answer = parse(json.dumps({"method": method, **({} if params is None else {"params": params}), **more}))
    assert isinstance(answer, Request), answer
    return answer.body


def refusal(method: str, params: object = None, **more: object) -> str:
    answer = parse(json.dumps({"method": method, **({} if params is None else {"params": params}), **more}))
    assert isinstance(answer, RefusedRequest)
    return answer.error


def test_a_ping_is_a_ping() -> None:
    assert parse('{"method":"ping","req_id":101}') == Request("ping", 101, Ping())


def test_a_field_that_a_ping_does_not_have_is_refused_as_recorded() -> None:
    answer = parse('{"method":"ping","req_id":0,"params":{}}')
    assert answer == RefusedRequest("ping", 0, "Unsupported field: 'params' for the given msg type: ping")


def test_a_subscription_has_kraken_s_defaults() -> None:
    book = body("subscribe", {"channel": "book", "symbol": ["BTC/USDT"]})
    assert book == Subscription("book", ("BTC/USDT",), snapshot=True, depth=None)
    trade = body("subscribe", {"channel": "trade", "symbol": ["BTC/USDT"]})
    assert not trade.snapshot
    ohlc = body("subscribe", {"channel": "ohlc", "symbol": ["BTC/USDT"]})
    assert ohlc.interval == 1
    executions = body("subscribe", {"channel": "executions", "token": "good"})
    assert (executions.snap_orders, executions.snap_trades, executions.order_status) == (True, False, True)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channel": "book", "symbol": ["BTC/USDT"], "depth": 27}, "Subscription depth not supported"),
        ({"channel": "book", "symbol": ["BTC/USDT"], "depth": "10"}, "Subscription book depth must be an integer"),
        ({"channel": "ohlc", "symbol": ["BTC/USDT"], "interval": 2}, "Subscription ohlc interval not supported"),
        ({"channel": "ohlc", "symbol": ["BTC/USDT"], "depth": 10}, UNSUPPORTED),
        ({"channel": "level4", "symbol": ["BTC/USDT"]}, "Subscription name invalid"),
        ({"symbol": ["BTC/USDT"]}, "Subscription name invalid"),
        ({"channel": "trade", "symbol": "BTC/USDT"}, "Symbol field must be an array"),
        ({"channel": "trade"}, "Symbol field must be an array"),
        ({"channel": "trade", "symbol": []}, "Symbol(s) not found"),
        ({"channel": "trade", "symbol": ["BTC/USDT"], "snapshot": 1}, "EGeneral:Invalid arguments:snapshot"),
        ({"channel": "ticker", "symbol": ["A/B"], "event_trigger": "never"}, f"{INVALID}event_trigger"),
        (["book"], "Malformed request"),
    ],
)  # fmt: skip
def test_a_bad_subscription_is_refused_in_kraken_s_words(params: object, error: str) -> None:
    assert refusal("subscribe", params) == error


def test_a_limit_order_keeps_every_digit() -> None:
    frame = '{"method":"add_order","params":{"order_type":"limit","side":"sell","order_qty":0.10000001,'
    frame += '"limit_price":100.10,"symbol":"BTC/USDT","time_in_force":"ioc","post_only":false,"token":"t",'
    frame += '"deadline":"2026-09-10T12:00:05.123Z","cl_ord_id":"mine-1","validate":true}}'
    answer = parse(frame)
    assert isinstance(answer, Request)
    order = NewOrder(
        BTC,
        Side.SELL,
        OrderType.LIMIT,
        Decimal("0.10000001"),
        limit=PriceTerm(Decimal("100.1")),
        time_in_force=TimeInForce.IOC,
        client_order_id="mine-1",
    )
    deadline = datetime(2026, 9, 10, 12, 0, 5, 123000, tzinfo=UTC)
    assert answer.body == AddOrder("t", order, False, deadline, True)


def test_a_stop_order_has_its_trigger_and_its_unit() -> None:
    triggers = {"reference": "last", "price": -2.0, "price_type": "pct"}
    stop = {**LIMIT, "order_type": "stop-loss", "side": "sell", "triggers": triggers}
    del stop["limit_price"]
    order = body("add_order", stop).order
    assert order.trigger == PriceTerm(Decimal(-2), PriceUnit.PERCENT)
    assert order.limit is None


def test_a_trailing_stop_with_a_limit_trails_and_is_offset_in_quote_currency() -> None:
    triggers = {"price": 50, "price_type": "quote"}
    order = body(
        "add_order", {**LIMIT, "order_type": "trailing-stop-limit", "limit_price": 0, "triggers": triggers}
    )
    assert order.order.trigger == PriceTerm(Decimal(50), PriceUnit.DISTANCE)
    assert order.order.limit == PriceTerm(Decimal(0), PriceUnit.DISTANCE)


def test_a_conditional_close_is_part_of_the_order() -> None:
    close = {"order_type": "stop-loss-limit", "trigger_price": 28410, "limit_price": 28400}
    order = body("add_order", {**LIMIT, "conditional": close}).order
    terms = PriceTerm(Decimal(28400)), PriceTerm(Decimal(28410))
    assert order.close == CloseOrder(OrderType.STOP_LOSS_LIMIT, *terms)


def test_margin_asks_for_the_most_that_the_pair_allows() -> None:
    assert body("add_order", {**LIMIT, "margin": True}).margin
    plain = body("add_order", {**LIMIT, "leverage": 2})
    assert (plain.margin, plain.order.leverage) == (False, 2)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"price": 3}, "Unsupported field: 'price' for the given msg type: add order"),
        ({"order_qty": "much"}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": 0}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": -1}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": True}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": 1e300}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": None}, "EGeneral:Invalid arguments:order_qty"),
        ({"limit_price": [1]}, "EGeneral:Invalid arguments:limit_price"),
        ({"order_type": "market"}, "EGeneral:Invalid arguments:limit_price"),
        ({"order_type": "iceberg"}, "EGeneral:Invalid arguments:order_type"),
        ({"order_type": "stop-loss-limit"}, "EGeneral:Invalid arguments:triggers"),
        ({"triggers": {"price": 3}}, "EGeneral:Invalid arguments:triggers"),
        ({"display_qty": 0.01}, "EGeneral:Invalid arguments:display_qty"),
        ({"side": "short"}, "EGeneral:Invalid arguments:side"),
        ({"symbol": "BTC"}, "Currency pair not supported BTC"),
        ({"symbol": "btc/usdt"}, "Currency pair not supported btc/usdt"),
        ({"time_in_force": "gtd"}, "EGeneral:Invalid arguments:expire_time"),
        ({"expire_time": "2026-09-10T12:00:00Z"}, "EGeneral:Invalid arguments:expire_time"),
        ({"time_in_force": "gtd", "expire_time": "tomorrow"}, "EGeneral:Invalid arguments:expire_time"),
        ({"deadline": "2026-99-99T12:00:00Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"cl_ord_id": "more than eighteen characters"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": ""}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": "mine", "order_userref": 3}, EXCLUSIVE),
        ({"order_userref": 2**31}, "EGeneral:Invalid arguments:order_userref"),
        ({"fee_preference": "none"}, "EGeneral:Invalid arguments:fee_preference"),
        ({"stp_type": "cancel_all"}, "EGeneral:Invalid arguments:stp_type"),
        ({"leverage": 2.5}, "EGeneral:Invalid arguments:leverage"),
    ],
)  # fmt: skip
def test_an_order_that_is_not_right_in_one_field_is_refused_for_it(
    change: dict[str, Any], error: str
) -> None:
    assert refusal("add_order", {**LIMIT, **change}, req_id=5) == error


@pytest.mark.parametrize(
    "identifier",
    ["6d1b345e-2821-40e2-ad83-4ecb18a06876", "da8e4ad59b78481c93e589746b0cf91f", "arb-20240509-00010"],
)
def test_the_three_published_forms_of_client_order_ids_are_taken(identifier: str) -> None:
    assert body("add_order", {**LIMIT, "cl_ord_id": identifier}).order.client_order_id == identifier


def test_a_trailing_stop_needs_a_distance() -> None:
    trailing = {**LIMIT, "order_type": "trailing-stop"}
    del trailing["limit_price"]
    for triggers in ({"price": 3}, {"price": -3, "price_type": "pct"}, {"price": 0, "price_type": "quote"}):
        assert (
            refusal("add_order", {**trailing, "triggers": triggers}) == "EGeneral:Invalid arguments:triggers"
        )


def test_the_other_order_methods_are_read() -> None:
    amend = {"order_id": "O1", "order_qty": 2, "limit_price": 3.5, "post_only": True, "token": "t"}
    terms = PriceTerm(Decimal("3.5"))
    assert body("amend_order", amend) == ChangeOrder(
        "t", Amendment("O1", "", Decimal(2), terms, None, True), None
    )
    edit = body("edit_order", {"order_id": "O1", "order_qty": 2, "symbol": "BTC/USDT", "token": "t"})
    assert (edit.pair, edit.wanted.quantity, edit.wanted.limit) == (BTC, Decimal(2), None)
    cancel = {"order_id": ["O1", "O1"], "cl_ord_id": ["mine"], "order_userref": [7], "token": "t"}
    assert body("cancel_order", cancel).references == (
        Reference("O1", (ReferenceKind.ORDER_ID,)),
        Reference("mine", (ReferenceKind.CLIENT_ORDER_ID,)),
        Reference("7", (ReferenceKind.USER_REFERENCE,)),
    )
    assert body("cancel_all", {"token": "t"}) == CancelAll(token="t")
    assert body("cancel_all_orders_after", {"timeout": 60, "token": "t"}) == CancelAllAfter(
        timeout=60, token="t"
    )
    order = {name: value for name, value in LIMIT.items() if name not in ("symbol", "token")}
    batch = body("batch_add", {"symbol": "BTC/USDT", "orders": [order, order], "token": "t"})
    assert isinstance(batch, BatchAdd)
    assert [one.order.pair for one in batch.orders] == [BTC, BTC]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("amend_order", {"order_id": "O1", "cl_ord_id": "mine", "token": "t"}),
        ("amend_order", {"order_qty": 1, "token": "t"}),
        ("edit_order", {"order_qty": 1, "symbol": "BTC/USDT", "token": "t"}),
        ("edit_order", {"order_id": "O1", "symbol": "BTC/USDT", "reduce_only": True, "token": "t"}),
        ("cancel_order", {"token": "t"}),
        ("cancel_order", {"order_id": "O1", "token": "t"}),
        ("cancel_order", {"order_id": [""], "token": "t"}),
        ("cancel_order", {"order_userref": [1.5], "token": "t"}),
        ("cancel_all_orders_after", {"timeout": -1, "token": "t"}),
        ("cancel_all_orders_after", {"timeout": 86_400, "token": "t"}),
        ("batch_add", {"symbol": "BTC/USDT", "orders": [{}], "token": "t"}),
        ("batch_cancel", {"orders": ["O1"], "token": "t"}),
    ],
)
def test_other_requests_without_what_they_need_are_refused(method: str, params: dict[str, Any]) -> None:
    assert refusal(method, params).startswith("EGeneral:Invalid arguments:")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff\xfe",
        "[" * 100_000,
        '{"method":"ping","req_id":' + "9" * 5000 + "}",
        '{"req_id":1.5,"method":"ping"}',
        '{"req_id":true,"method":"ping"}',
    ],
)
def test_nonsense_is_a_malformed_request(frame: str | bytes) -> None:
    answer = parse(frame)
    assert isinstance(answer, RefusedRequest)
    assert (answer.request_id, answer.error) == (None, "Malformed request")


def test_the_request_id_is_known_wherever_the_frame_can_be_read() -> None:
    assert parse('{"req_id":7}') == RefusedRequest("", 7, "Malformed request")
    assert parse('{"req_id":7,"method":"dance"}') == RefusedRequest("", 7, "Method not supported")
    assert parse('{"req_id":7,"method":["ping"]}') == RefusedRequest("", 7, "Method not supported")
    far = '{"req_id":7,"method":"add_order","params":{"symbol":"BTC/USDT","order_type":"limit","side":"buy",'
    for number in (
        "1e999999999999999999999",
        "1e-999999999",
        "1e400",
        "1E+9999999",
        "-1E+9999999",
        "0E+9999999",
    ):
        answer = parse(f'{far}"order_qty":{number},"limit_price":1}}}}')
        assert answer == RefusedRequest("add_order", 7, "EGeneral:Invalid arguments:order_qty")


@pytest.mark.parametrize("method", ["add_order", "amend_order"])
@pytest.mark.parametrize("field", ["order_qty", "limit_price"])
def test_an_amount_that_no_arithmetic_bears_is_refused_by_name(method: str, field: str) -> None:
    params = LIMIT if method == "add_order" else {"order_id": "O1", "token": "good"}
    frame = json.dumps({"method": method, "req_id": 7, "params": {**params, field: "HUGE"}})
    answer = parse(frame.replace('"HUGE"', "1E+9999999"))
    assert answer == RefusedRequest(method, 7, f"{INVALID}{field}")


def test_a_batch_of_orders_is_cancelled_by_order_id_or_user_reference() -> None:
    batch = {"orders": ["O1", "7"], "cl_ord_id": ["mine"], "token": "t"}
    assert body("batch_cancel", batch).references == (
        Reference("O1", TXID),
        Reference("7", TXID),
        Reference("mine", (ReferenceKind.CLIENT_ORDER_ID,)),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
METHODS = (
    *("ping", "subscribe", "unsubscribe", "add_order", "amend_order", "edit_order", "cancel_order"),
    *("cancel_all", "cancel_all_orders_after", "batch_add", "batch_cancel"),
)
NAMES = (
    *("channel", "symbol", "depth", "interval", "snapshot", "token", "order_id", "cl_ord_id"),
    *("order_userref", "order_qty", "limit_price", "order_type", "side", "triggers", "conditional"),
    *("deadline", "timeout", "orders", "time_in_force", "expire_time", "limit_price_type", "trigger_price"),
    *("leverage", "margin"),
)
WORDS = st.sampled_from(["book", "BTC/USDT", "limit", "stop-loss", "buy", "gtd", "pct", "executions", "good"])


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_bytes_get_an_answer(frame: str | bytes) -> None:
    assert isinstance(parse(frame), Request | RefusedRequest)


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.integers(-(2**63), 2**63 - 1),
    st.dictionaries(st.sampled_from(NAMES), json_values | WORDS | st.lists(WORDS, max_size=3), max_size=8),
)
def test_any_parameters_get_an_answer_with_the_request_s_id(
    method: str, request_id: int, params: dict[str, Any]
) -> None:
    answer = parse(msgspec.json.encode({"method": method, "req_id": request_id, "params": params}))
    assert (answer.method, answer.request_id) == (method, request_id)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(LIMIT)), json_values)
def test_an_order_with_one_field_replaced_is_read_or_refused(name: str, value: Any) -> None:
    answer = parse(msgspec.json.encode({"method": "add_order", "params": {**LIMIT, name: value}}))
    if isinstance(answer, Request):
        assert isinstance(answer.body, AddOrder)
        assert answer.body.order.quantity > 0
