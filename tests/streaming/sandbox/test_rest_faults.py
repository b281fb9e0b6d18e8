"""Every fault that REST can have, and its effect on the exchange."""

import asyncio
import json
from urllib.parse import urlencode

import aiohttp
import pytest

from streaming.sandbox.faults import Fault, FaultKind
from streaming.sandbox.faults.requests import GARBAGE
from tests.streaming.sandbox.rest_rig import LIMIT, RestApi

pytestmark = pytest.mark.anyio


def count_open(api: RestApi) -> int:
    return len(api.exchange.open_orders("ann"))


async def test_an_order_beyond_the_rate_limit_is_not_placed(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.RATE_LIMIT, count=3))
    assert await api.refusal("AddOrder", **LIMIT) == "EOrder:Rate limit exceeded"
    assert await api.refusal("Balance") == "EAPI:Rate limit exceeded"
    assert await api.get("Time") == {"error": ["EAPI:Rate limit exceeded"]}
    assert count_open(api) == 0
    await api.result("AddOrder", **LIMIT)


async def test_a_nonce_error_uses_up_no_nonce(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.NONCE_ERROR, count=1))
    assert (await api.send("Balance", b"nonce=5", "5"))["error"] == ["EAPI:Invalid nonce"]
    assert (await api.send("Balance", b"nonce=5", "5"))["error"] == []


async def test_a_nonce_error_leaves_public_questions_alone(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.NONCE_ERROR))
    assert (await api.get("Time"))["error"] == []


async def test_during_maintenance_only_the_clock_and_the_status_answer(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.MAINTENANCE, lasts=60))
    assert await api.refusal("AddOrder", **LIMIT) == "EService:Unavailable"
    assert await api.get("Depth", pair="XBTUSDT") == {"error": ["EService:Unavailable"]}
    assert (await api.get("SystemStatus"))["result"]["status"] == "maintenance"
    assert (await api.get("Time"))["error"] == []
    api.pass_time(61)
    assert (await api.get("SystemStatus"))["result"]["status"] == "online"
    await api.result("AddOrder", **LIMIT)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (FaultKind.CANCEL_ONLY, "cancel_only", "EService:Market in cancel_only mode"),
        (FaultKind.POST_ONLY, "post_only", "EService:Market in post_only mode"),
    ],
)
async def test_a_restricted_market_reports_its_status_and_refuses(
    api: RestApi, kind: FaultKind, status: str, error: str
) -> None:
    order_id = (await api.result("AddOrder", **LIMIT))["txid"][0]
    api.faults.arm(Fault(kind))
    assert (await api.get("SystemStatus"))["result"]["status"] == status
    assert (await api.get("AssetPairs", pair="XBTUSDT"))["result"]["XBTUSDT"]["status"] == status
    assert await api.refusal("AddOrder", **LIMIT) == error
    assert await api.result("CancelOrder", txid=order_id) == {"count": 1}


async def test_a_skewed_clock_shows_in_every_time_of_a_response(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.CLOCK_SKEW, seconds=-90))
    assert (await api.get("Time"))["result"]["unixtime"] == 1763726400 - 90
    assert (await api.get("SystemStatus"))["result"]["timestamp"] == "2025-11-21T11:58:30Z"
    switch = await api.result("CancelAllOrdersAfter", timeout=60)
    assert switch == {"currentTime": "2025-11-21T11:58:30Z", "triggerTime": "2025-11-21T11:59:30Z"}


async def test_an_order_with_a_slow_response_is_already_placed(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.SLOW_ACK, seconds=30, method="AddOrder"))
    asking = asyncio.create_task(api.ask("AddOrder", **LIMIT))
    while not count_open(api):
        await asyncio.sleep(0.001)
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await api.get("Time"))["error"] == []


async def test_an_order_whose_response_is_lost_is_placed(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.LOST_ACK, count=1, method="AddOrder"))
    with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
        await api.ask("AddOrder", **LIMIT, cl_ord_id="mine")
    assert list((await api.result("OpenOrders", cl_ord_id="mine"))["open"])


async def test_an_accepted_order_may_be_answered_with_an_error_page(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.ACCEPTED_THEN_5XX, count=1, method="AddOrder"))
    body = urlencode({"nonce": 9, **LIMIT}).encode()
    status, kind, page = await api.raw("AddOrder", body, "9")
    assert (status, kind) == (520, "text/html")
    assert page.startswith("<html>")
    assert count_open(api) == 1


async def test_an_accepted_order_may_be_answered_with_garbage(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.GARBAGE_ANSWER, count=len(GARBAGE), method="AddOrder"))
    answers = []
    for nonce in range(9, 9 + len(GARBAGE)):
        body = urlencode({"nonce": nonce, **LIMIT}).encode()
        status, _, page = await api.raw("AddOrder", body, str(nonce))
        answers.append((status, page))
    assert count_open(api) == len(GARBAGE)
    assert {status for status, _ in answers} == {200}
    assert len({page for _, page in answers}) == len(GARBAGE)


async def test_a_response_sent_byte_by_byte_arrives_whole(api: RestApi) -> None:
    expected = await api.get("SystemStatus")
    api.faults.arm(Fault(FaultKind.SLOW_LORIS, seconds=0.001, method="SystemStatus"))
    async with api.client.get("/0/public/SystemStatus") as answer:
        first = await answer.content.readany()
        rest = await answer.content.read()
    assert len(first) < answer.content_length
    assert json.loads(first + rest) == expected


async def test_a_client_may_leave_during_a_slow_response(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.SLOW_LORIS, seconds=0.005, count=1))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(api.get("SystemStatus"), 0.05)
    assert (await api.get("SystemStatus"))["error"] == []


async def test_a_fault_of_one_method_leaves_the_others_alone(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.RATE_LIMIT, method="CancelOrder"))
    await api.result("AddOrder", **LIMIT)
    assert await api.refusal("CancelOrder", txid="x") == "EOrder:Rate limit exceeded"


async def test_a_disconnect_ends_the_request_before_it_takes_effect(api: RestApi) -> None:
    api.faults.arm(Fault(FaultKind.DISCONNECT, count=1, method="AddOrder"))
    with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
        await api.ask("AddOrder", **LIMIT)
    assert count_open(api) == 0
