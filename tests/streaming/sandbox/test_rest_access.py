"""Who may ask for what, how often, and what is refused."""

import base64
from pathlib import Path

import pytest

from streaming.sandbox.keys import Permission
from streaming.sandbox.rates import STARTER
from tests.streaming.sandbox.rest_rig import LIMIT, Counter, visit


def test_a_token_for_the_stream_is_given_out(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        answer = await counter.result("GetWebSocketsToken")
        assert answer["expires"] == 900
        assert len(base64.b64decode(answer["token"])) == 32
        assert counter.keys.account_of(answer["token"]) == "ann"

    visit(tmp_path, scenario)


@pytest.mark.parametrize(
    ("method", "given", "error"),
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
def test_what_cannot_be_done_is_refused_in_krakens_words(
    tmp_path: Path, method: str, given: dict, error: str
) -> None:
    async def scenario(counter: Counter) -> None:
        assert await counter.refusal(method, **given) == error

    visit(tmp_path, scenario)


def test_a_key_may_only_do_what_it_was_made_for(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        reader = counter.keys.issue("ann", [Permission.QUERY_FUNDS])
        assert (await counter.ask("Balance", key=reader))["error"] == []
        for method, given in (("AddOrder", LIMIT), ("OpenOrders", {}), ("CancelAll", {})):
            answer = await counter.ask(method, key=reader, **given)
            assert answer == {"error": ["EGeneral:Permission denied"]}
        canceller = counter.keys.issue("ann", [Permission.CANCEL])
        assert (await counter.ask("CancelAll", key=canceller))["error"] == []

    visit(tmp_path, scenario)


def test_a_nonce_is_good_for_one_request(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        assert (await counter.send("Balance", b"nonce=5", "5"))["error"] == []
        for nonce in ("5", "4", "", "x"):
            answer = await counter.send("Balance", f"nonce={nonce}".encode(), nonce)
            assert answer == {"error": ["EAPI:Invalid nonce"]}

    visit(tmp_path, scenario)


def test_without_a_key_nothing_private_is_told(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        for call in (counter.client.post, counter.client.get):
            async with call("/0/private/Balance") as answer:
                assert await answer.json() == {"error": ["EAPI:Invalid key"]}
        headers = {"API-Key": counter.key.key, "API-Sign": "AAAA"}
        async with counter.client.post("/0/private/Balance", data="nonce=9", headers=headers) as answer:
            assert await answer.json() == {"error": ["EAPI:Invalid signature"]}

    visit(tmp_path, scenario)


def test_private_calls_use_up_their_counter_and_orders_do_not(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        for _ in range(7):
            await counter.result("TradesHistory")  # two each
        await counter.result("Balance")
        assert await counter.refusal("Balance") == "EAPI:Rate limit exceeded"
        order_id = await counter.placed()
        await counter.result("CancelOrder", txid=order_id)
        counter.pass_time(4)
        await counter.result("Balance")

    visit(tmp_path, scenario, tier=STARTER)


def test_orders_use_up_the_counter_of_their_pair(tmp_path: Path) -> None:
    async def scenario(counter: Counter) -> None:
        for _ in range(6):
            await counter.result("CancelOrder", txid=await counter.placed())  # nine each
        order_id = await counter.placed()
        assert await counter.refusal("CancelOrder", txid=order_id) == "EOrder:Rate limit exceeded"
        await counter.placed(pair="XRPUSDT", price="0.3", volume="100")

    visit(tmp_path, scenario, tier=STARTER)
