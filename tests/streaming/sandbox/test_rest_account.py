"""Fills, past orders, balances and positions of an account, in the form of Kraken's responses."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.streaming.sandbox.rest_rig import BTC, MARKET, RestApi

pytestmark = pytest.mark.anyio


async def test_a_market_order_is_filled_and_paid(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    before = await api.result("Balance")
    order_id = await api.place(**MARKET, price="")
    order = (await api.result("QueryOrders", txid=order_id, trades="true"))[order_id]
    assert (order["status"], order["vol_exec"], order["reason"]) == ("closed", "0.10000000", None)
    [fill_id] = order["trades"]
    fill = (await api.result("QueryTrades", txid=fill_id))[fill_id]
    after = await api.result("Balance")
    paid = Decimal(before["USDT"]) - Decimal(after["USDT"])
    assert paid == Decimal(fill["cost"]) + Decimal(fill["fee"])
    assert Decimal(after["XXBT"]) - Decimal(before["XXBT"]) == Decimal("0.1")
    history = await api.result("TradesHistory")
    assert history == {"trades": {fill_id: fill}, "count": 1}
    assert isinstance(fill.pop("time"), float)
    assert isinstance(fill.pop("trade_id"), int)
    assert fill == {
        "ordertxid": order_id,
        "postxid": fill_id,
        "pair": "XBTUSDT",
        "aclass": "forex",
        "type": "buy",
        "ordertype": "market",
        "price": "36511.00000",  # 36500 made worse by 0.03 %, rounded up to the increment
        "cost": "3651.10000",
        "fee": "14.60440",
        "vol": "0.10000000",
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "maker": False,
    }
    assert (order["price"], order["cost"], order["fee"]) == ("36511.0", "3651.10000", "14.60440")


async def test_balances_have_the_decimals_of_their_asset(api: RestApi) -> None:
    assert await api.result("Balance") == {
        "XXBT": "2.0000000000",
        "USDT": "100000.00000000",
        "XXRP": "10000.00000000",
    }
    await api.place(oflags="post")
    extended = await api.result("BalanceEx")
    assert extended["XXBT"] == {"balance": "2.0000000000", "hold_trade": "0.0000000000"}
    reserved = Decimal(extended["USDT"]["hold_trade"])
    assert Decimal(15000) <= reserved <= Decimal("15060")


async def test_margin_is_reported_with_and_without_a_position(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    flat = await api.result("TradeBalance")
    assert set(flat) == {"eb", "tb", "m", "uv", "n", "c", "v", "e", "mf"}
    assert flat["m"] == "0.00000000"
    order_id = await api.place(**{**MARKET, "volume": "0.4", "leverage": "2", "price": ""})
    rolls_over_at = api.market.now().timestamp() + 4 * 3600
    api.trade(BTC, "36500.0")
    level = await api.result("TradeBalance", asset="USDT")
    assert Decimal(7_300) < Decimal(level["m"]) < Decimal(7_304)
    assert Decimal(level["ml"]) > 100
    [(position_id, position)] = (await api.result("OpenPositions", docalcs="true")).items()
    [fill_id] = (await api.result("QueryOrders", txid=order_id, trades="true"))[order_id]["trades"]
    assert position_id == fill_id
    assert isinstance(position.pop("time"), float)
    assert int(position.pop("rollovertm")) == int(rolls_over_at)
    assert Decimal(position["net"]) == Decimal(level["n"])
    assert position == {
        "ordertxid": order_id,
        "posstatus": "open",
        "pair": "XBTUSDT",
        "type": "buy",
        "ordertype": "market",
        "cost": "14604.40000",
        "fee": "58.41760",
        "vol": "0.40000000",
        "vol_closed": "0.00000000",
        "margin": "7302.20000",
        "value": "14600.00000",
        "net": "-4.4000",
        "terms": "0.0200% per 4 hours",
        "misc": "",
        "oflags": "",
    }
    [together] = await api.result("OpenPositions", consolidation="market")
    assert together == {
        "pair": "XBTUSDT",
        "positions": "1",
        "type": "buy",
        "leverage": "2.00000",
        "cost": "14604.40000",
        "fee": "58.41760",
        "vol": "0.40000000",
        "vol_closed": "0.00000000",
        "margin": "7302.20000",
    }
    fill = (await api.result("QueryTrades", txid=fill_id))[fill_id]
    assert (fill["margin"], fill["leverage"]) == ("7302.20000", "2")
    borrowed = await api.result("TradesHistory", type="any position")
    assert list(borrowed["trades"]) == [fill_id]
    assert (await api.result("TradesHistory", type="no position"))["count"] == 0


async def test_open_orders_are_found_by_reference(api: RestApi) -> None:
    ours = await api.place(userref=5)
    named = await api.place(cl_ord_id="mine")
    await api.place()
    assert list((await api.result("OpenOrders", userref=5))["open"]) == [ours]
    assert list((await api.result("OpenOrders", cl_ord_id="mine"))["open"]) == [named]
    assert list(await api.result("QueryOrders", cl_ord_id="mine")) == [named]
    assert await api.result("QueryOrders", cl_ord_id="yours") == {}


async def test_closed_orders_come_in_pages_and_by_time(api: RestApi) -> None:
    ids = []
    for _ in range(55):
        ids.append(await api.place(userref=len(ids) + 1))
        await api.result("CancelOrder", txid=ids[-1])
        api.pass_time(10)
        api.market.advance_to(api.market.now().replace(microsecond=len(ids)))
    first = await api.result("ClosedOrders")
    assert (len(first["closed"]), first["count"]) == (50, 55)
    rest = await api.result("ClosedOrders", ofs=50)
    assert [*first["closed"], *rest["closed"]] == ids[::-1]
    assert list((await api.result("ClosedOrders", userref=3))["closed"]) == [ids[2]]
    for closetime in ("open", "close", "both"):
        later = await api.result("ClosedOrders", start=ids[50], closetime=closetime)
        assert (list(later["closed"]), later["count"]) == (ids[:50:-1], 4)
        earlier = await api.result("ClosedOrders", end=ids[1], closetime=closetime)
        assert list(earlier["closed"]) == [ids[1], ids[0]]
    assert "count" not in await api.result("ClosedOrders", without_count="true")


async def test_the_volume_and_the_fees_of_a_pair_are_reported(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    await api.place(**MARKET, price="")
    plain = await api.result("TradeVolume")
    assert plain == {"currency": "USDT", "volume": "3651.1000"}
    with_fees = await api.result("TradeVolume", pair="XBTUSDT,XRPXBT")
    assert list(with_fees["fees"]) == ["XBTUSDT", "XXRPXXBT"]
    assert with_fees["fees_maker"]["XBTUSDT"] == {
        "fee": "0.2500",
        "minfee": "0.2500",
        "maxfee": "0.2500",
        "nextfee": None,
        "nextvolume": None,
        "tiervolume": "0.0000",
    }


async def test_accounts_do_not_see_each_other(api: RestApi) -> None:
    api.exchange.open_account("bob", {"USDT": Decimal(10)})
    bob = api.keys.issue("bob")
    order_id = await api.place()
    assert (await api.ask("OpenOrders", key=bob))["result"] == {"open": {}}
    assert (await api.ask("QueryOrders", key=bob, txid=order_id))["result"] == {}
    assert (await api.ask("CancelOrder", key=bob, txid=order_id))["error"] == ["EOrder:Unknown order"]
    assert (await api.ask("Balance", key=bob))["result"] == {"USDT": "10.00000000"}


async def test_fills_are_found_by_what_they_did_to_a_position(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    trades = [("buy", "0.3", "2"), ("sell", "0.1", "2"), ("sell", "0.4", "2"), ("buy", "0.1", "none")]
    ids: list[list[str]] = []
    for side, volume, leverage in trades:
        fields = {**MARKET, "type": side, "volume": volume, "leverage": leverage, "price": ""}
        order_id = await api.place(**fields)
        order = (await api.result("QueryOrders", txid=order_id, trades="true"))[order_id]
        ids.append(order["trades"])
        api.trade(BTC, "36500.0")
    opening, closing, both, paid = ids
    expected = {
        "all": [*opening, *closing, *both, *paid],
        "any position": [*opening, *closing, *both],
        "closing position": [*closing, *both],
        "no position": paid,
    }
    for kind, trades in expected.items():
        history = await api.result("TradesHistory", type=kind)
        assert set(history["trades"]) == set(trades)
        assert history["count"] == len(trades)
    assert await api.refusal("TradesHistory", type="closed position") == ("EGeneral:Invalid arguments:type")


async def test_fills_are_queried_by_id_in_the_order_of_the_ids(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    for _ in range(3):
        await api.place(**MARKET, price="")
        api.trade(BTC, "36500.0")
    newest, middle, oldest = (await api.result("TradesHistory"))["trades"]
    txid = f"{oldest},TAAAAA-AAAAA-AAAAAA,{newest}"
    assert list(await api.result("QueryTrades", txid=txid)) == [oldest, newest]
    later = await api.result("TradesHistory", start=oldest, end=middle)
    assert (list(later["trades"]), later["count"]) == ([middle], 1)


async def test_the_volume_is_that_of_the_last_thirty_days(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    await api.place(**MARKET, price="")
    api.market.advance_to(api.market.now() + timedelta(days=29))
    api.trade(BTC, "36500.0")
    await api.place(**MARKET, price="")
    assert (await api.result("TradeVolume"))["volume"] == "7302.2000"
    api.market.advance_to(api.market.now() + timedelta(days=2))
    api.trade(BTC, "36500.0")
    assert (await api.result("TradeVolume"))["volume"] == "3651.1000"


async def test_closed_orders_are_found_by_client_id_within_a_time(api: RestApi) -> None:
    ids = []
    for _ in range(3):
        ids.append(await api.place(cl_ord_id="mine"))
        await api.result("CancelOrder", cl_ord_id="mine")
        api.market.advance_to(api.market.now() + timedelta(minutes=1))
    other = await api.place(userref=9)
    await api.result("CancelOrder", txid=other)
    found = await api.result("ClosedOrders", cl_ord_id="mine", start=ids[0])
    assert (list(found["closed"]), found["count"]) == ([ids[2], ids[1]], 2)
