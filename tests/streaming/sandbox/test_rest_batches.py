"""Orders placed and cancelled many at a time over REST."""

from typing import Any

import pytest

from tests.streaming.sandbox.rest_rig import LIMIT, RestApi

pytestmark = pytest.mark.anyio
ONE = {name: value for name, value in LIMIT.items() if name != "pair"}


def batch(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"pair": "XBTUSDT", "orders": [{**ONE, **each} for each in changes], **more}


async def added(api: RestApi, *changes: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    response = await api.ask_json("AddOrderBatch", **batch(*changes, **more))
    assert response["error"] == [], response
    return response["result"]["orders"]


async def refused(api: RestApi, method: str, **fields: Any) -> str:
    response = await api.ask_json(method, **fields)
    assert list(response) == ["error"], response
    return response["error"][0]


async def open_ids(api: RestApi) -> list[str]:
    return list((await api.result("OpenOrders"))["open"])


async def test_a_batch_is_placed_in_its_order_with_the_words_of_each(api: RestApi) -> None:
    close = {"ordertype": "stop-loss", "price": "28000"}
    first, second = await added(api, {"cl_ord_id": "a"}, {"price": "29000", "volume": 0.25, "close": close})
    assert first["descr"] == {"order": "buy 0.50000000 XBTUSDT @ limit 30000.0"}
    assert second["descr"] == {
        "order": "buy 0.25000000 XBTUSDT @ limit 29000.0",
        "close": "close position @ stop loss 28000.0",
    }
    assert await open_ids(api) == [first["txid"], second["txid"]]


async def test_an_order_of_a_batch_that_cannot_be_paid_is_refused_alone(api: RestApi) -> None:
    first, second, third = await added(api, {}, {"volume": "5000"}, {})
    assert second == {"error": "EOrder:Insufficient funds"}
    assert await open_ids(api) == [first["txid"], third["txid"]]


async def test_a_batch_with_an_order_that_makes_no_sense_is_refused_whole(api: RestApi) -> None:
    error = await refused(api, "AddOrderBatch", **batch({}, {"ordertype": "nonsense"}))
    assert error == "EGeneral:Invalid arguments:ordertype"
    assert await open_ids(api) == []


@pytest.mark.parametrize("count", [0, 1, 16])
async def test_a_batch_has_two_to_fifteen_orders(api: RestApi, count: int) -> None:
    error = await refused(api, "AddOrderBatch", **batch(*[{}] * count))
    assert error == "EGeneral:Invalid arguments:orders"


@pytest.mark.parametrize("orders", [["text", "text"], [[], []], {"ordertype": "limit"}, "text", [None, None]])
async def test_a_batch_of_anything_else_is_refused(api: RestApi, orders: object) -> None:
    error = await refused(api, "AddOrderBatch", pair="XBTUSDT", orders=orders)
    assert error.startswith("EGeneral:Invalid arguments")


async def test_a_validated_batch_places_nothing(api: RestApi) -> None:
    assert all(list(each) == ["descr"] for each in await added(api, {}, {}, validate=True))
    assert await open_ids(api) == []


async def test_a_batch_is_cancelled_by_every_kind_of_name_and_counted(api: RestApi) -> None:
    [first, *_] = await added(api, {}, {"userref": 7}, {"cl_ord_id": "mine"}, {"cl_ord_id": "stays"})
    names = {"orders": [first["txid"], 7, "OAAAAA-BBBBBB-CCCCCC"], "cl_ord_ids": ["mine"]}
    response = await api.ask_json("CancelOrderBatch", **names)
    assert response == {"error": [], "result": {"count": 3}}
    [left] = (await api.result("OpenOrders"))["open"].values()
    assert left["cl_ord_id"] == "stays"
    assert await refused(api, "CancelOrderBatch", orders=[first["txid"]]) == "EOrder:Unknown order"


@pytest.mark.parametrize("names", [{}, {"orders": []}, {"orders": [{}]}, {"orders": list(range(1, 52))}])
async def test_a_cancellation_names_one_to_fifty_orders(api: RestApi, names: dict[str, Any]) -> None:
    assert await refused(api, "CancelOrderBatch", **names) == "EGeneral:Invalid arguments:orders"
