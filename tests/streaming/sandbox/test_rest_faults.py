"""Every fault of the menu that REST can have, and what has happened all the same."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from streaming.sandbox.faults import Fault, FaultKind
from tests.streaming.sandbox.rest_rig import LIMIT, Counter, visit


async def open_now(counter: Counter) -> int:
    return len(counter.exchange.open_orders("ann"))


def test_a_rate_limit_keeps_the_order_out(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.RATE_LIMIT, count=3))
        assert await counter.refusal("AddOrder", **LIMIT) == "EOrder:Rate limit exceeded"
        assert await counter.refusal("Balance") == "EAPI:Rate limit exceeded"
        assert await counter.get("Time") == {"error": ["EAPI:Rate limit exceeded"]}
        assert await open_now(counter) == 0
        await counter.result("AddOrder", **LIMIT)

    visit(tmp_path, scenario)


def test_a_nonce_error_uses_up_no_nonce(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.NONCE_ERROR, count=1))
        assert (await counter.send("Balance", b"nonce=5", "5"))["error"] == ["EAPI:Invalid nonce"]
        assert (await counter.send("Balance", b"nonce=5", "5"))["error"] == []

    visit(tmp_path, scenario)


def test_a_nonce_error_leaves_public_questions_alone(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.NONCE_ERROR))
        assert (await counter.get("Time"))["error"] == []

    visit(tmp_path, scenario)


def test_during_maintenance_only_the_clock_and_the_status_answer(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.MAINTENANCE, lasts=60))
        assert await counter.refusal("AddOrder", **LIMIT) == "EService:Unavailable"
        assert await counter.get("Depth", pair="XBTUSDT") == {"error": ["EService:Unavailable"]}
        assert (await counter.get("SystemStatus"))["result"]["status"] == "maintenance"
        assert (await counter.get("Time"))["error"] == []
        counter.pass_time(61)
        assert (await counter.get("SystemStatus"))["result"]["status"] == "online"
        await counter.result("AddOrder", **LIMIT)

    visit(tmp_path, scenario)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (FaultKind.CANCEL_ONLY, "cancel_only", "EService:Market in cancel_only mode"),
        (FaultKind.POST_ONLY, "post_only", "EService:Market in post_only mode"),
    ],
)
def test_a_restricted_market_says_so_and_refuses(
    tmp_path: Path, kind: FaultKind, status: str, error: str
) -> None:
    async def scenario(counter: Counter) -> None:
        order_id = (await counter.result("AddOrder", **LIMIT))["txid"][0]
        counter.faults.arm(Fault(kind))
        assert (await counter.get("SystemStatus"))["result"]["status"] == status
        assert (await counter.get("AssetPairs", pair="XBTUSDT"))["result"]["XBTUSDT"]["status"] == status
        assert await counter.refusal("AddOrder", **LIMIT) == error
        assert await counter.result("CancelOrder", txid=order_id) == {"count": 1}

    visit(tmp_path, scenario)


def test_a_clock_that_is_off_is_off_wherever_time_is_told(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.CLOCK_SKEW, seconds=-90))
        assert (await counter.get("Time"))["result"]["unixtime"] == 1763726400 - 90
        assert (await counter.get("SystemStatus"))["result"]["timestamp"] == "2025-11-21T11:58:30Z"
        switch = await counter.result("CancelAllOrdersAfter", timeout=60)
        assert switch == {"currentTime": "2025-11-21T11:58:30Z", "triggerTime": "2025-11-21T11:59:30Z"}

    visit(tmp_path, scenario)


def test_a_slow_answer_is_about_something_that_has_happened(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.SLOW_ACK, seconds=30, method="AddOrder"))
        asking = asyncio.create_task(counter.ask("AddOrder", **LIMIT))
        while not await open_now(counter):
            await asyncio.sleep(0.001)
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await counter.get("Time"))["error"] == []

    visit(tmp_path, scenario)


def test_a_lost_answer_leaves_the_order_behind(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.LOST_ACK, count=1, method="AddOrder"))
        with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            await counter.ask("AddOrder", **LIMIT, cl_ord_id="mine")
        assert list((await counter.result("OpenOrders", cl_ord_id="mine"))["open"])

    visit(tmp_path, scenario)


def test_an_accepted_order_may_be_answered_with_a_broken_page(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.ACCEPTED_THEN_5XX, count=1, method="AddOrder"))
        body = urlencode({"nonce": 9, **LIMIT}).encode()
        status, kind, page = await counter.raw("AddOrder", body, "9")
        assert (status, kind) == (520, "text/html")
        assert page.startswith("<html>")
        assert await open_now(counter) == 1

    visit(tmp_path, scenario)


def test_a_dribbling_answer_is_whole_in_the_end(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        expected = await counter.get("SystemStatus")
        counter.faults.arm(Fault(FaultKind.SLOW_LORIS, seconds=0.001, method="SystemStatus"))
        async with counter.client.get("/0/public/SystemStatus") as answer:
            first = await answer.content.readany()
            rest = await answer.content.read()
        assert len(first) < answer.content_length
        assert json.loads(first + rest) == expected

    visit(tmp_path, scenario)


def test_whoever_has_enough_of_a_dribble_may_go(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.SLOW_LORIS, seconds=0.005, count=1))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(counter.get("SystemStatus"), 0.05)
        assert (await counter.get("SystemStatus"))["error"] == []

    visit(tmp_path, scenario)


def test_a_fault_of_one_method_leaves_the_others_alone(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.RATE_LIMIT, method="CancelOrder"))
        await counter.result("AddOrder", **LIMIT)
        assert await counter.refusal("CancelOrder", txid="x") == "EOrder:Rate limit exceeded"

    visit(tmp_path, scenario)


def test_a_disconnect_ends_the_request_before_anything_happened(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        counter.faults.arm(Fault(FaultKind.DISCONNECT, count=1, method="AddOrder"))
        with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            await counter.ask("AddOrder", **LIMIT)
        assert await open_now(counter) == 0

    visit(tmp_path, scenario)
