"""Ledger, amendments, the key itself, and fees to the last digit, over REST."""

from decimal import Decimal
from typing import Any

import pytest

from streaming.sandbox.keys import Permission
from tests.streaming.sandbox.rest_rig import BTC, MARKET, XRP, RestApi
from trading.orders import Side

pytestmark = pytest.mark.anyio
ODD = {**MARKET, "price": "", "volume": "0.01234567"}  # its fee has more digits than Kraken's five


async def fill_of(api: RestApi, order_id: str) -> tuple[str, dict[str, Any]]:
    [fill_id] = (await api.result("QueryOrders", txid=order_id, trades="true"))[order_id]["trades"]
    return fill_id, (await api.result("QueryTrades", txid=fill_id))[fill_id]


async def test_the_fee_has_the_digits_that_the_account_is_charged(api: RestApi) -> None:
    api.trade(BTC, "36500.1")
    order_id = await api.place(**ODD)
    order = (await api.result("QueryOrders", txid=order_id))[order_id]
    _, fill = await fill_of(api, order_id)
    [stored] = api.exchange.fills_of_order(order_id)
    assert Decimal(fill["fee"]) == Decimal(order["fee"]) == stored.fee
    assert stored.fee != round(stored.fee, 5)


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
async def test_a_fee_in_base_currency_is_charged_from_the_base(api: RestApi, side: str, sign: int) -> None:
    api.trade(BTC, "36500.0")
    before = api.exchange.balances("ann")
    order_id = await api.place(**{**MARKET, "type": side, "volume": "0.001", "oflags": "fcib", "price": ""})
    after = api.exchange.balances("ann")
    order = (await api.result("QueryOrders", txid=order_id))[order_id]
    _, fill = await fill_of(api, order_id)
    assert order["oflags"] == "fcib"
    assert Decimal(order["fee"]) == Decimal(fill["fee"]) == Decimal("0.000004")  # 0.4 % of 0.001
    assert after["BTC"] - before["BTC"] == sign * Decimal("0.001") - Decimal("0.000004")
    assert after["USDT"] - before["USDT"] == -sign * Decimal(fill["cost"])


async def test_a_fee_in_base_currency_has_to_be_there_too(api: RestApi) -> None:
    sell = {"type": "sell", "price": "40000", "volume": "2"}
    assert await api.refusal("AddOrder", **{**MARKET, "ordertype": "limit", **sell, "oflags": "fcib"}) == (
        "EOrder:Insufficient funds"
    )
    order_id = await api.place(**{**sell, "volume": "1.9", "oflags": "fcib"})
    held = (await api.result("BalanceEx"))["XXBT"]["hold_trade"]
    assert Decimal(held) == Decimal("1.9") * Decimal("1.004")
    await api.result("CancelOrder", txid=order_id)
    assert not api.exchange.reserved("ann")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"oflags": "fcib,fciq"}, "EGeneral:Invalid arguments:oflags"),
        ({"oflags": "viqc"}, "EAPI:Feature disabled:viqc"),
        ({"oflags": "fcib", "leverage": "2"}, "EGeneral:Invalid arguments:oflags"),
    ],
)
async def test_a_flag_that_cannot_be_done_is_refused_by_its_name(
    api: RestApi, fields: dict[str, str], error: str
) -> None:
    assert await api.refusal("AddOrder", **{**MARKET, **fields}) == error


async def test_an_edit_keeps_the_fee_currency_and_does_not_pretend_to_change_it(api: RestApi) -> None:
    old = await api.place(oflags="fcib,post")
    assert await api.refusal("EditOrder", txid=old, pair="XBTUSDT", price="30500", oflags="fciq") == (
        "EGeneral:Invalid arguments:oflags"
    )
    new = (await api.result("EditOrder", txid=old, pair="XBTUSDT", price="30500", oflags="fcib"))["txid"]
    assert (await api.result("QueryOrders", txid=new))[new]["oflags"] == "fcib"


async def test_the_ledger_adds_up_to_the_balances(api: RestApi) -> None:
    api.trade(BTC, "36500.1")
    api.trade(XRP, "0.61")
    await api.place(**ODD)
    await api.place(**{**ODD, "pair": "XRPUSDT", "volume": "20", "type": "sell", "oflags": "fcib"})
    ledger = (await api.result("Ledgers"))["ledger"]
    sums: dict[str, Decimal] = {}
    for entry in ledger.values():
        assert (entry["aclass"], entry["subtype"]) == ("currency", "")
        change = Decimal(entry["amount"]) - Decimal(entry["fee"])
        sums[entry["asset"]] = sums.get(entry["asset"], Decimal(0)) + change
    held = api.exchange.balances("ann")
    assert sums == {"XXBT": held["BTC"], "USDT": held["USDT"], "XXRP": held["XRP"]}


async def test_an_entry_of_the_ledger_names_its_fill_and_its_fee(api: RestApi) -> None:
    api.trade(BTC, "36500.1")
    fill_id, fill = await fill_of(api, await api.place(**ODD))
    answer = await api.result("Ledgers", asset="USDT", type="trade")
    [(entry_id, entry)] = answer["ledger"].items()
    assert (answer["count"], entry["refid"], entry["type"]) == (1, fill_id, "trade")
    assert (entry["fee"], -Decimal(entry["amount"])) == (
        fill["fee"],
        Decimal("0.01234567") * Decimal(fill["price"]),
    )
    assert await api.result("QueryLedgers", id=entry_id) == {entry_id: entry}
    assert (await api.result("Ledgers", start=entry_id))["ledger"] == {}
    assert (await api.result("Ledgers", asset="all", aclass="currency", type="all"))["count"] == 5
    assert len((await api.result("Ledgers", ofs="4"))["ledger"]) == 1


async def test_the_ledger_of_another_account_is_not_shown(api: RestApi) -> None:
    [entry_id, *_] = (await api.result("Ledgers"))["ledger"]
    api.exchange.open_account("bob", {"USDT": Decimal(1)})
    response = await api.ask("QueryLedgers", key=api.keys.issue("bob"), id=entry_id)
    assert response == {"error": [], "result": {}}
    assert await api.refusal("QueryLedgers", id="nonsense") == "EQuery:Unknown ledger"
    assert await api.refusal("Ledgers", type="nonsense") == "EGeneral:Invalid arguments:type"


async def test_amendments_are_on_record_from_the_original_on(api: RestApi) -> None:
    order_id = await api.place()
    [only] = (await api.result("OrderAmends", order_id=order_id))["amends"]
    assert (only["amend_type"], only["order_qty"]) == ("original", "0.50000000")
    amended = await api.result("AmendOrder", txid=order_id, limit_price="31000.5", order_qty="0.4")
    answer = await api.result("OrderAmends", order_id=order_id)
    first, second = answer["amends"]
    assert (answer["count"], first) == (2, only)
    assert isinstance(second.pop("timestamp"), int)
    assert second == {
        "amend_id": amended["amend_id"],
        "amend_type": "user",
        "order_qty": "0.40000000",
        "remaining_qty": "0.40000000",
        "limit_price": "31000.5",
        "post_only": False,
    }
    assert await api.refusal("OrderAmends", order_id="OAAAAA-BBBBB-CCCCCC") == "EOrder:Unknown order"


async def test_an_amendment_to_less_than_is_filled_says_what_it_did(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    order_id = await api.place(price="30000", volume="0.5")
    api.trade(BTC, "29999.9", "0.2")
    filled = api.exchange.orders("ann", [order_id])[0].filled
    assert 0 < filled < Decimal("0.5")
    amended = await api.result("AmendOrder", txid=order_id, order_qty="0.0001")
    [_, last] = (await api.result("OrderAmends", order_id=order_id))["amends"]
    assert (last["amend_id"], last["remaining_qty"]) == (amended["amend_id"], "0.00000000")
    assert "filled" in last["reason"]
    assert (await api.result("QueryOrders", txid=order_id))[order_id]["status"] == "canceled"


async def test_a_key_may_always_ask_for_itself(api: RestApi) -> None:
    key = api.keys.issue("ann", [Permission.WEBSOCKET, Permission.QUERY_FUNDS])
    info = (await api.ask("GetApiKeyInfo", key=key))["result"]
    assert (info["api_key"], info["nonce"]) == (key.key, str(api.nonce))
    assert info["permissions"] == ["create-ws-token", "query-funds"]
    assert info["created_time"] == info["last_used"] == str(int(api.clock.now))
    assert (info["valid_until"], info["ip_allowlist"]) == ("0", [])
    assert key.secret not in str(info)
    assert (await api.ask("Ledgers", key=key))["error"] == ["EGeneral:Permission denied"]


async def test_the_grouped_book_adds_up_what_the_book_has(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    book = api.exchange.book(BTC, 10**6)
    grouped = (await api.get("GroupedBook", pair="XBTUSDT", grouping="1000", depth="1000"))["result"]
    assert (grouped["pair"], grouped["grouping"]) == ("BTC/USDT", 1000)
    for name, levels, side in (("bids", book.bids, Side.BUY), ("asks", book.asks, Side.SELL)):
        totals = {Decimal(it["price"]): Decimal(it["qty"]) for it in grouped[name]}
        assert sum(totals.values()) == sum(it.quantity for it in levels)
        assert all(price % 100 == 0 for price in totals)
        assert (max(totals) <= levels[0].price) if side is Side.BUY else (min(totals) >= levels[0].price)
    assert len((await api.get("GroupedBook", pair="XBTUSDT"))["result"]["asks"]) == 10
    assert (await api.get("GroupedBook", pair="XBTUSDT", depth="7"))["error"] == [
        "EGeneral:Invalid arguments:depth"
    ]


async def test_spreads_are_the_changes_of_the_best_prices(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    api.trade(BTC, "36600.0")
    book = api.exchange.book(BTC, 1)
    result = (await api.get("Spread", pair="XBTUSDT"))["result"]
    now = int(api.exchange.market_now().timestamp())
    assert [Decimal(it) for it in result["XBTUSDT"][-1]] == [now, book.bids[0].price, book.asks[0].price]
    assert result["last"] == now
    later = (await api.get("Spread", pair="XBTUSDT", since=str(now)))["result"]["XBTUSDT"]
    assert later == result["XBTUSDT"][-1:]
