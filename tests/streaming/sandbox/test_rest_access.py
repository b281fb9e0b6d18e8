"""Permissions, rate limits and refusals of the private REST calls."""

import base64
from pathlib import Path

import pytest

from streaming.sandbox.keys import Permission
from streaming.sandbox.rates import STARTER
from tests.streaming.sandbox.rest_rig import LIMIT, RestApi, serve_rest

pytestmark = pytest.mark.anyio


async def test_a_token_for_the_stream_is_issued(api: RestApi) -> None:
    answer = await api.result("GetWebSocketsToken")
    assert answer["expires"] == 900
    assert len(base64.b64decode(answer["token"])) == 32
    assert api.keys.account_of(answer["token"]) == "ann"


@pytest.mark.parametrize(
    ("method", "fields", "error"),
    [
        ("AddOrder", {**LIMIT, "volume": "100"}, "EOrder:Insufficient funds"),
        ("AddOrder", {**LIMIT, "price": "30000.05"}, "EOrder:Tick size check failed"),
        ("AddOrder", {**LIMIT, "volume": "0.00001"}, "EOrder:Order minimum not met"),
        ("AddOrder", {**LIMIT, "price": ""}, "EGeneral:Invalid arguments:price"),
        ("AddOrder", {**LIMIT, "deadline": "soon"}, "EGeneral:Invalid arguments:deadline"),
        ("AddOrder", {**LIMIT, "validate": "perhaps"}, "EGeneral:Invalid arguments:validate"),
        ("CancelOrder", {}, "EGeneral:Invalid arguments:txid"),
        ("CancelOrder", {"txid": "OAAAAA-AAAAA-AAAAAA"}, "EOrder:Unknown order"),
        ("AmendOrder", {"txid": "OAAAAA-AAAAA-AAAAAA", "order_qty": 1}, "EOrder:Unknown order"),
        ("AmendOrder", {"order_qty": 1}, "EGeneral:Invalid arguments:txid"),
        ("EditOrder", {"txid": "OAAAAA-AAAAA-AAAAAA", "pair": "XBTUSDT"}, "EOrder:Unknown order"),
        ("EditOrder", {"txid": "OAAAAA-AAAAA-AAAAAA"}, "EGeneral:Invalid arguments:pair"),
        ("QueryOrders", {}, "EGeneral:Invalid arguments:txid"),
        ("QueryOrders", {"txid": "nonsense"}, "EOrder:Invalid order"),
        ("QueryTrades", {"txid": "nonsense"}, "EQuery:Unknown trade"),
        ("ClosedOrders", {"ofs": -1}, "EGeneral:Invalid arguments:ofs"),
        ("ClosedOrders", {"start": "OAAAAA-AAAAA-AAAAAA"}, "EGeneral:Invalid arguments:start"),
        ("ClosedOrders", {"closetime": "never"}, "EGeneral:Invalid arguments:closetime"),
        ("TradesHistory", {"end": "nonsense"}, "EGeneral:Invalid arguments:end"),
        ("CancelAllOrdersAfter", {"timeout": 86400}, "EGeneral:Invalid arguments:timeout"),
        ("CancelAllOrdersAfter", {}, "EGeneral:Invalid arguments:timeout"),
        ("TradeBalance", {"asset": "NOPE"}, "EQuery:Unknown asset"),
        ("TradeVolume", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("Withdraw", {}, "EGeneral:Unknown method"),
    ],
)
async def test_an_impossible_request_is_refused_in_krakens_words(
    api: RestApi, method: str, fields: dict, error: str
) -> None:
    assert await api.refusal(method, **fields) == error


async def test_a_key_may_only_do_what_it_was_made_for(api: RestApi) -> None:
    reader = api.keys.issue("ann", [Permission.QUERY_FUNDS])
    assert (await api.ask("Balance", key=reader))["error"] == []
    for method, fields in (("AddOrder", LIMIT), ("OpenOrders", {}), ("CancelAll", {})):
        answer = await api.ask(method, key=reader, **fields)
        assert answer == {"error": ["EGeneral:Permission denied"]}
    canceller = api.keys.issue("ann", [Permission.CANCEL])
    assert (await api.ask("CancelAll", key=canceller))["error"] == []


async def test_a_nonce_is_good_for_one_request(api: RestApi) -> None:
    assert (await api.send("Balance", b"nonce=5", "5"))["error"] == []
    for nonce in ("5", "4", "", "x"):
        answer = await api.send("Balance", f"nonce={nonce}".encode(), nonce)
        assert answer == {"error": ["EAPI:Invalid nonce"]}


async def test_a_private_call_without_a_key_is_refused(api: RestApi) -> None:
    for call in (api.client.post, api.client.get):
        async with call("/0/private/Balance") as answer:
            assert await answer.json() == {"error": ["EAPI:Invalid key"]}
    headers = {"API-Key": api.key.key, "API-Sign": "AAAA"}
    async with api.client.post("/0/private/Balance", data="nonce=9", headers=headers) as answer:
        assert await answer.json() == {"error": ["EAPI:Invalid signature"]}


async def test_private_calls_use_up_their_counter_and_orders_do_not(tmp_path: Path) -> None:
    async with serve_rest(tmp_path, tier=STARTER) as api:
        for _ in range(7):
            await api.result("TradesHistory")  # two each
        await api.result("Balance")
        assert await api.refusal("Balance") == "EAPI:Rate limit exceeded"
        order_id = await api.place()
        await api.result("CancelOrder", txid=order_id)
        api.pass_time(4)
        await api.result("Balance")


async def test_orders_use_up_the_counter_of_their_pair(tmp_path: Path) -> None:
    async with serve_rest(tmp_path, tier=STARTER) as api:
        for _ in range(6):
            await api.result("CancelOrder", txid=await api.place())  # nine each
        order_id = await api.place()
        assert await api.refusal("CancelOrder", txid=order_id) == "EOrder:Rate limit exceeded"
        await api.place(pair="XRPUSDT", price="0.3", volume="100")
