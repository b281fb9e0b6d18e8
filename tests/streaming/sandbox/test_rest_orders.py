"""Orders are placed, changed and cancelled, and described in Kraken's words."""

from typing import Any

import pytest

from tests.streaming.sandbox.rest_rig import BTC, LIMIT, MARKET, RestApi

pytestmark = pytest.mark.anyio


async def open_order(api: RestApi, order_id: str) -> dict[str, Any]:
    return (await api.result("OpenOrders", trades="true"))["open"][order_id]


async def test_a_resting_order_has_every_field_of_krakens_response(api: RestApi) -> None:
    answer = await api.result("AddOrder", **LIMIT, userref=7)
    assert answer["descr"] == {"order": "buy 0.50000000 XBTUSDT @ limit 30000.0"}
    [order_id] = answer["txid"]
    order = await open_order(api, order_id)
    assert isinstance(order.pop("opentm"), float)
    assert order == {
        "refid": None,
        "userref": 7,
        "status": "open",
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": "XBTUSDT",
            "aclass": "forex",
            "type": "buy",
            "ordertype": "limit",
            "price": "30000.0",
            "price2": "0",
            "leverage": "none",
            "order": "buy 0.50000000 XBTUSDT @ limit 30000.0",
            "close": "",
        },
        "vol": "0.50000000",
        "vol_exec": "0.00000000",
        "cost": "0.00000",
        "fee": "0.00000",
        "price": "0.00000",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
    }


@pytest.mark.parametrize(
    ("fields", "words", "close"),
    [
        ({"ordertype": "market", "price": ""}, "buy 0.50000000 XBTUSDT @ market", None),
        (
            {"leverage": "3", "oflags": "post"},
            "buy 0.50000000 XBTUSDT @ limit 30000.0 with 3:1 leverage",
            None,
        ),
        (
            {"ordertype": "stop-loss", "price": "38000"},
            "buy 0.50000000 XBTUSDT @ stop loss 38000.0",
            None,
        ),
        (
            {"ordertype": "take-profit-limit", "price": "34000", "price2": "34010.5"},
            "buy 0.50000000 XBTUSDT @ take profit 34000.0 -> limit 34010.5",
            None,
        ),
        (
            {"ordertype": "trailing-stop", "price": "+1.5%"},
            "buy 0.50000000 XBTUSDT @ trailing stop +1.5000%",
            None,
        ),
        (
            {"ordertype": "trailing-stop-limit", "price": "+100", "price2": "-20.5"},
            "buy 0.50000000 XBTUSDT @ trailing stop +100.0 -> limit -20.5",
            None,
        ),
        (
            {"close__ordertype": "stop-loss-limit", "close__price": "-5%", "close__price2": "28000"},
            "buy 0.50000000 XBTUSDT @ limit 30000.0",
            "close position @ stop loss -5.0000% -> limit 28000.0",
        ),
    ],
)
async def test_every_kind_of_order_is_described(
    api: RestApi, fields: dict, words: str, close: str | None
) -> None:
    answer = await api.result("AddOrder", **{**LIMIT, **fields}, validate="true")
    assert answer == {"descr": {"order": words, **({"close": close} if close else {})}}
    assert (await api.result("OpenOrders"))["open"] == {}
    placed = await api.result("AddOrder", **{**LIMIT, **fields})
    assert placed["descr"] == answer["descr"]


async def test_an_order_can_be_amended_in_place(api: RestApi) -> None:
    order_id = await api.place(cl_ord_id="mine")
    answer = await api.result("AmendOrder", cl_ord_id="mine", limit_price="31000.5", order_qty="0.4")
    assert list(answer) == ["amend_id"]
    assert answer["amend_id"].startswith("T")
    order = await open_order(api, order_id)
    assert (order["descr"]["price"], order["vol"]) == ("31000.5", "0.40000000")
    await api.result("AmendOrder", txid=order_id, limit_price="30000")
    assert (await open_order(api, order_id))["descr"]["price"] == "30000.0"


async def test_an_edited_order_has_another_id(api: RestApi) -> None:
    old = await api.place()
    answer = await api.result("EditOrder", txid=old, pair="XBTUSDT", price="30500", volume="0.25")
    new = answer.pop("txid")
    assert new != old
    assert answer == {
        "status": "ok",
        "descr": {"order": "buy 0.25000000 XBTUSDT @ limit 30500.0"},
        "originaltxid": old,
        "volume": "0.25000000",
        "price": "30500.0",
        "price2": "0",
        "orders_cancelled": 1,
    }
    assert list((await api.result("OpenOrders"))["open"]) == [new]
    assert (await api.result("QueryOrders", txid=old))[old]["status"] == "canceled"


@pytest.mark.parametrize("by", ["txid", "userref", "cl_ord_id"])
async def test_an_order_is_cancelled_by_any_of_its_ids(api: RestApi, by: str) -> None:
    fields = {"userref": {"userref": 77}, "cl_ord_id": {"cl_ord_id": "mine"}}.get(by, {})
    order_id = await api.place(**fields)
    reference = {"txid": order_id, "userref": "77"}.get(by)
    name = {"cl_ord_id": "mine"} if reference is None else {"txid": reference}
    assert await api.result("CancelOrder", **name) == {"count": 1}
    order = (await api.result("ClosedOrders"))["closed"][order_id]
    assert (order["status"], order["reason"]) == ("canceled", "User requested")
    assert order["closetm"] >= order["opentm"]
    assert await api.refusal("CancelOrder", **name) == "EOrder:Unknown order"


async def test_all_orders_are_cancelled_at_once(api: RestApi) -> None:
    await api.place()
    await api.place()
    assert await api.result("CancelAll") == {"count": 2}
    assert (await api.result("OpenOrders"))["open"] == {}


async def test_the_dead_mans_switch_cancels_unless_it_is_pressed_again(api: RestApi) -> None:
    await api.place()
    assert await api.result("CancelAllOrdersAfter", timeout=60) == {
        "currentTime": "2025-11-21T12:00:00Z",
        "triggerTime": "2025-11-21T12:01:00Z",
    }
    api.pass_time(59)
    await api.result("CancelAllOrdersAfter", timeout=60)
    api.pass_time(59)
    assert len((await api.result("OpenOrders"))["open"]) == 1
    api.pass_time(2)
    assert (await api.result("OpenOrders"))["open"] == {}
    await api.place()
    assert (await api.result("CancelAllOrdersAfter", timeout=0))["triggerTime"] == "0"
    api.pass_time(3600)
    assert len((await api.result("OpenOrders"))["open"]) == 1


async def test_json_places_the_same_order(api: RestApi) -> None:
    answer = await api.ask_json(
        "AddOrder",
        pair="XBT/USDT",
        type="buy",
        ordertype="limit",
        volume=0.5,
        price="30000",
        close={"ordertype": "limit", "price": "31000"},
    )
    assert answer["error"] == []
    assert answer["result"]["descr"] == {
        "order": "buy 0.50000000 XBTUSDT @ limit 30000.0",
        "close": "close position @ limit 31000.0",
    }


async def test_a_filled_order_places_its_close(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    parent = await api.place(**{**MARKET, "price": ""}, close__ordertype="stop-loss", close__price="35000")
    [(close_id, close)] = (await api.result("OpenOrders"))["open"].items()
    assert close_id != parent
    assert close["refid"] == parent
    assert close["descr"]["order"] == "sell 0.10000000 XBTUSDT @ stop loss 35000.0"
    assert (close["stopprice"], close["trigger"]) == ("35000.00000", "last")


async def test_an_order_must_arrive_before_its_deadline(api: RestApi) -> None:
    assert (
        await api.refusal("AddOrder", **LIMIT, deadline="2025-11-21T12:00:01Z")
        == "EGeneral:Invalid arguments:deadline"
    )
    await api.result("AddOrder", **LIMIT, deadline="2025-11-21T12:00:05Z")


async def test_a_cancel_by_one_kind_of_id_leaves_orders_with_that_id_of_another_kind(api: RestApi) -> None:
    numbered = await api.place(userref=42)
    named = await api.place(cl_ord_id="43")
    assert await api.refusal("CancelOrder", cl_ord_id="42") == "EOrder:Unknown order"
    assert await api.refusal("CancelOrder", txid="43") == "EOrder:Unknown order"
    assert list((await api.result("OpenOrders"))["open"]) == [numbered, named]
    assert await api.result("CancelOrder", cl_ord_id="43") == {"count": 1}
    assert await api.result("CancelOrder", txid="42") == {"count": 1}


@pytest.mark.parametrize(
    "fields", [{"cl_ord_id": "mine"}, {"close__ordertype": "limit", "close__price": "31000"}]
)
async def test_an_order_that_kraken_would_not_edit_stays_as_it_is(api: RestApi, fields: dict) -> None:
    order_id = await api.place(**fields)
    edit = {"txid": order_id, "pair": "XBTUSDT", "price": "30500"}
    assert await api.refusal("EditOrder", **edit) == "EOrder:Order not editable"
    assert (await open_order(api, order_id))["descr"]["price"] == "30000.0"
