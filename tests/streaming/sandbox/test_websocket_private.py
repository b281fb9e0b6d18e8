"""Private channels and order methods, through the real gateway and rate counters."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from streaming.sandbox.faults import Fault, FaultKind
from streaming.sandbox.model import NewOrder, OrderType, PriceTerm
from tests.streaming.sandbox.websocket_fakes import ACCOUNT, BTC, let_tasks_run
from tests.streaming.sandbox.websocket_hub import LoopTime, Rig
from trading.orders import Side

pytestmark = pytest.mark.anyio

LIMIT = {"order_type": "limit", "side": "buy", "order_qty": 0.1, "limit_price": 100, "symbol": "BTC/USDT"}
ORDER = {**LIMIT, "token": "good"}
STOP = {
    **ORDER,
    "order_type": "stop-loss",
    "side": "sell",
    "triggers": {"price": 90, "price_type": "static"},
}
del STOP["limit_price"]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
async def loop_time(monkeypatch: pytest.MonkeyPatch) -> LoopTime:
    return LoopTime(monkeypatch)


async def place(rig: Rig, **change: object) -> str:
    answers = await rig.ask("add_order", {**ORDER, **change})
    return str(answers[-1]["result"]["order_id"])


def rows(rig: Rig) -> list[dict[str, Any]]:
    return [row for message in rig.listener.of("executions") for row in message["data"]]


def test_a_private_channel_is_acknowledged_with_the_largest_counter(rig: Rig) -> None:
    rig.subscribe("executions", token="good", snap_trades=True)
    [answer] = rig.listener.answers("subscribe")
    expected = {"channel": "executions", "maxratecount": 180, "snap_orders": True, "snap_trades": True}
    assert answer["result"] == expected


@pytest.mark.parametrize("token", [{}, {"token": "bad"}])
def test_a_missing_or_unknown_token_is_refused_as_recorded(rig: Rig, token: dict[str, str]) -> None:
    rig.listener.clear()
    rig.subscribe("executions", **token)
    [answer] = rig.listener.messages
    assert list(answer) == ["channel", "error", "method", "status", "success", "time_in", "time_out"]
    assert (answer["channel"], answer["error"]) == ("executions", "ESession:Invalid session")
    assert answer["status"] == "error"


async def test_an_order_with_a_bad_token_is_refused(rig: Rig) -> None:
    [answer] = await rig.ask("add_order", {**ORDER, "token": "bad"}, 3)
    assert (answer["error"], answer["req_id"]) == ("ESession:Invalid session", 3)
    assert not rig.exchange.known


async def test_every_change_of_an_order_is_published_as_documented(rig: Rig) -> None:
    rig.subscribe("executions", token="good")
    order_id = await place(rig, cl_ord_id="mine-1")
    rig.exchange.fill(order_id, "0.04", "100")
    rig.exchange.fill(order_id, "0.06", "100")
    pending, new, first, second, filled = rows(rig)
    kinds = [row["exec_type"] for row in (pending, new, first, second, filled)]
    assert kinds == ["pending_new", "new", "trade", "trade", "filled"]
    states = [row["order_status"] for row in (pending, new, first, second, filled)]
    assert states == ["pending_new", "new", "partially_filled", "partially_filled", "filled"]
    assert {row["order_id"] for row in rows(rig)} == {order_id}
    assert {row["cl_ord_id"] for row in rows(rig)} == {"mine-1"}
    assert (pending["symbol"], pending["order_qty"], pending["limit_price"]) == (
        "BTC/USDT",
        "0.10000000",
        "100.0",
    )
    assert "symbol" not in new
    assert (first["last_qty"], first["last_price"], first["cum_qty"]) == (
        "0.04000000",
        "100.0",
        "0.04000000",
    )
    assert (first["cost"], first["liquidity_ind"], first["trade_id"]) == ("4.00", "m", 700)
    assert first["fees"] == [{"asset": "USDT", "qty": 1}]
    assert (filled["cum_qty"], filled["cum_cost"], filled["fee_usd_equiv"]) == (
        "0.10000000",
        "10.00",
        "2.0000",
    )


async def test_messages_of_a_channel_are_numbered_without_a_gap(rig: Rig) -> None:
    rig.subscribe("executions", token="good")
    rig.subscribe("balances", token="good")
    order_id = await place(rig)
    rig.exchange.fill(order_id, "0.1", "100")
    rig.exchange.book_balance("BTC", "0.1")
    assert [it["sequence"] for it in rig.listener.of("executions")] == [1, 2, 3, 4, 5]
    assert [it["sequence"] for it in rig.listener.of("balances")] == [1, 2]


def test_a_sequence_gap_leaves_out_one_number_and_goes_on(rig: Rig) -> None:
    rig.faults.arm(Fault(FaultKind.SEQUENCE_GAP, channel="balances", count=1, every=2))
    rig.subscribe("balances", token="good")
    for _ in range(3):
        rig.exchange.book_balance("BTC", "0.1")
    assert [it["sequence"] for it in rig.listener.of("balances")] == [1, 3, 4, 5]


async def test_a_snapshot_has_the_open_orders_and_the_last_fills_as_asked(rig: Rig) -> None:
    filled, rests = await place(rig), await place(rig)
    rig.exchange.fill(filled, "0.1", "100")
    for channel_options, expected in (
        ({}, [("new", rests)]),
        ({"snap_trades": True}, [("new", rests), ("trade", filled)]),
        ({"snap_orders": False, "snap_trades": True}, [("trade", filled)]),
    ):
        listener, conversation = rig.connect()
        rig.listener, rig.conversation = listener, conversation
        rig.subscribe("executions", token="good", **channel_options)
        [snapshot] = listener.of("executions")
        assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", 1)
        assert [(row["exec_type"], row["order_id"]) for row in snapshot["data"]] == expected
        assert all(row["symbol"] == "BTC/USDT" for row in snapshot["data"])
    silent, conversation = rig.connect()
    rig.listener, rig.conversation = silent, conversation
    rig.subscribe("executions", token="good", snap_orders=False)
    assert silent.of("executions") == []


async def test_without_order_status_only_first_and_last_states_and_fills_are_published(rig: Rig) -> None:
    rig.subscribe("executions", token="good", order_status=False)
    order_id = await place(rig)
    await rig.ask("amend_order", {"order_id": order_id, "order_qty": 0.2, "token": "good"})
    rig.exchange.fill(order_id, "0.2", "100")
    assert [row["exec_type"] for row in rows(rig)] == ["new", "trade", "filled"]


async def test_the_rate_counter_is_sent_on_request(rig: Rig) -> None:
    rig.subscribe("executions", token="good", ratecounter=True)
    await place(rig)
    await place(rig)
    assert [row["ratecount"] for row in rows(rig)] == [1, 1, 2, 2]


async def test_a_triggered_order_shows_its_trigger(rig: Rig) -> None:
    rig.subscribe("executions", token="good")
    [answer] = await rig.ask("add_order", STOP)
    assert answer["success"]
    assert rows(rig)[0]["triggers"] == {
        "reference": "last",
        "price": 90,
        "price_type": "static",
        "actual_price": "90.0",
        "status": "untriggered",
    }


def test_balances_are_published_as_documented(rig: Rig) -> None:
    rig.subscribe("balances", token="good")
    rig.exchange.book_balance("USDT", "-10.5", "trade", "TAAAAA-BBBBB-CCCCCC")
    snapshot, update = rig.listener.of("balances")
    assert snapshot["data"][0] == {
        "asset": "BTC",
        "asset_class": "currency",
        "balance": "1.5",
        "wallets": [{"type": "spot", "id": "main", "balance": "1.5"}],
    }
    [row] = update["data"]
    assert row.pop("ledger_id")[0] == "L"
    assert row == {
        "ref_id": "TAAAAA-BBBBB-CCCCCC",
        "timestamp": "2026-09-10T12:00:00.000000Z",
        "type": "trade",
        "asset": "USDT",
        "asset_class": "currency",
        "category": "trade",
        "wallet_type": "spot",
        "wallet_id": "main",
        "amount": "-10.5",
        "fee": 0,
        "balance": "9989.75",
    }


def test_another_account_s_events_are_not_published(rig: Rig) -> None:
    rig.subscribe("executions", token="good")
    rig.subscribe("balances", token="good")
    rig.listener.clear()
    order = rig.gateway.exchange.add("somebody else", _order())
    assert order.account != ACCOUNT
    assert rig.listener.payloads == []


def _order() -> NewOrder:
    terms = PriceTerm(Decimal(100))
    return NewOrder(BTC, Side.BUY, OrderType.LIMIT, Decimal("0.1"), limit=terms)


async def test_the_response_to_an_order_has_all_its_ids(rig: Rig) -> None:
    [first] = await rig.ask("add_order", {**ORDER, "cl_ord_id": "mine"}, 9)
    assert first["result"] == {"order_id": "O00001-AAAAA-BBBBBB", "cl_ord_id": "mine"}
    assert list(first) == ["method", "req_id", "result", "success", "time_in", "time_out"]
    *_, second = await rig.ask("add_order", {**ORDER, "order_userref": 7})
    assert second["result"] == {"order_id": "O00002-AAAAA-BBBBBB", "order_userref": 7}


async def test_an_order_that_is_only_validated_has_no_id_and_does_not_exist(rig: Rig) -> None:
    [answer] = await rig.ask("add_order", {**ORDER, "cl_ord_id": "mine", "validate": True})
    assert answer["result"] == {"cl_ord_id": "mine"}
    assert not rig.exchange.known


async def test_margin_uses_the_maximum_leverage_of_the_pair(rig: Rig) -> None:
    await place(rig, margin=True)
    assert next(iter(rig.exchange.known.values())).request.leverage == 3
    *_, answer = await rig.ask("add_order", {**ORDER, "symbol": "XRP/BTC", "margin": True})
    assert answer["error"] == "EGeneral:Invalid arguments:margin"


async def test_a_refusal_of_the_exchange_is_sent_word_by_word(rig: Rig) -> None:
    rig.exchange.refusal = "EOrder:Insufficient funds"
    [answer] = await rig.ask("add_order", ORDER, 4)
    assert (answer["error"], answer["success"], answer["req_id"]) == (
        "EOrder:Insufficient funds",
        False,
        4,
    )
    *_, answer = await rig.ask("add_order", {**ORDER, "symbol": "DOGE/USD"})
    assert answer["error"] == "Currency pair not supported DOGE/USD"


async def test_an_amended_order_has_the_same_id_and_an_edited_one_a_new_id(rig: Rig) -> None:
    order_id = await place(rig, cl_ord_id="mine")
    [by_id] = await rig.ask("amend_order", {"order_id": order_id, "order_qty": 0.2, "token": "good"})
    assert by_id["result"].pop("amend_id")[0] == "T"
    assert by_id["result"] == {"order_id": order_id}
    *_, by_client = await rig.ask("amend_order", {"cl_ord_id": "mine", "limit_price": 99, "token": "good"})
    assert by_client["result"]["cl_ord_id"] == "mine"
    edit = {"order_id": order_id, "order_qty": 0.3, "symbol": "BTC/USDT", "token": "good"}
    [named] = await rig.ask("edit_order", edit)
    assert named["error"] == "EOrder:Order not editable"
    edit["order_id"] = order_id = await place(rig)
    [_, edited] = await rig.ask("edit_order", edit)
    assert edited["result"] == {"order_id": "O00003-AAAAA-BBBBBB", "original_order_id": order_id}
    *_, wrong = await rig.ask("edit_order", {**edit, "order_id": "O00003-AAAAA-BBBBBB", "symbol": "XRP/BTC"})
    assert wrong["error"] == "EGeneral:Invalid arguments:symbol"


async def test_every_order_of_a_cancellation_is_answered(rig: Rig) -> None:
    first, second = await place(rig), await place(rig, cl_ord_id="mine")
    request = {"order_id": [first, "OXXXXX"], "cl_ord_id": ["mine"], "token": "good"}
    answers = await rig.ask("cancel_order", request, 8)
    assert [it.get("result") or it["error"] for it in answers] == [
        {"order_id": first},
        "EOrder:Unknown order",
        {"order_id": second, "cl_ord_id": "mine"},
    ]
    assert {it["req_id"] for it in answers} == {8}


async def test_batches_and_cancel_all_and_the_dead_man_s_switch_are_answered(rig: Rig) -> None:
    batch = {"symbol": "BTC/USDT", "orders": [_unsigned(), _unsigned()], "token": "good"}
    [added] = await rig.ask("batch_add", batch)
    assert [it["order_id"] for it in added["result"]] == ["O00001-AAAAA-BBBBBB", "O00002-AAAAA-BBBBBB"]
    names = [it["order_id"] for it in added["result"]]
    [cancelled] = await rig.ask("batch_cancel", {"orders": names, "token": "good"})
    assert cancelled["result"] == {"count": 2}
    await place(rig)
    [everything] = await rig.ask("cancel_all", {"token": "good"})
    assert everything["result"] == {"count": 1}
    [armed] = await rig.ask("cancel_all_orders_after", {"timeout": 60, "token": "good"})
    assert armed["result"] == {
        "currentTime": "2026-08-29T10:40:00.000000Z",
        "triggerTime": "2026-08-29T10:41:00.000000Z",
    }
    *_, disarmed = await rig.ask("cancel_all_orders_after", {"timeout": 0, "token": "good"})
    assert disarmed["result"]["triggerTime"] == "0"


def _unsigned() -> dict[str, Any]:
    return {name: value for name, value in LIMIT.items() if name != "symbol"}


async def test_a_late_deadline_is_refused_before_the_engine(rig: Rig) -> None:
    soon = datetime.fromtimestamp(rig.clock() + 0.1, UTC).isoformat()
    [answer] = await rig.ask("add_order", {**ORDER, "deadline": soon})
    assert answer["error"] == "EGeneral:Invalid arguments:deadline"


async def test_an_order_whose_response_is_lost_is_accepted(rig: Rig) -> None:
    rig.faults.arm(Fault(FaultKind.LOST_ACK, method="add_order", count=1))
    assert await rig.ask("add_order", ORDER) == []
    assert len(rig.exchange.known) == 1
    assert len(await rig.ask("add_order", ORDER)) == 1


async def test_a_slow_response_comes_late_and_the_order_is_accepted_at_once(
    rig: Rig, loop_time: LoopTime
) -> None:
    rig.faults.arm(Fault(FaultKind.SLOW_ACK, method="add_order", seconds=30, count=1))
    assert await rig.ask("add_order", ORDER) == []
    assert len(rig.exchange.known) == 1
    await loop_time.advance(29.9)
    assert rig.listener.answers("add_order") == []
    await loop_time.advance(0.2)
    assert len(rig.listener.answers("add_order")) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(FaultKind.RATE_LIMIT, method="add_order"), "EOrder:Rate limit exceeded"),
        (Fault(FaultKind.TOKEN_EXPIRY), "ESession:Invalid session"),
        (Fault(FaultKind.MAINTENANCE), "EService:Unavailable"),
        (Fault(FaultKind.CANCEL_ONLY, symbol="BTC/USDT"), "EService:Market in cancel_only mode"),
        (Fault(FaultKind.POST_ONLY), "EService:Market in post_only mode"),
    ],
)
async def test_a_fault_that_refuses_an_order_answers_as_the_venue_does(
    rig: Rig, fault: Fault, error: str
) -> None:
    rig.faults.arm(fault)
    [answer] = await rig.ask("add_order", ORDER, 1)
    assert (answer["error"], answer["req_id"]) == (error, 1)
    assert not rig.exchange.known


def test_an_expired_token_is_refused_for_subscriptions_too(rig: Rig) -> None:
    rig.faults.arm(Fault(FaultKind.TOKEN_EXPIRY, count=1))
    rig.subscribe("executions", token="good")
    rig.subscribe("executions", token="good")
    assert [it["success"] for it in rig.listener.answers("subscribe")] == [False, True]


def test_too_many_subscriptions_are_answered_as_the_venue_does(rig: Rig) -> None:
    rig.faults.arm(Fault(FaultKind.RATE_LIMIT, method="subscribe", count=1))
    rig.subscribe("trade", "BTC/USDT")
    [answer] = rig.listener.answers("subscribe")
    assert answer["error"] == "Exceeded msg rate"


async def test_a_disconnect_at_a_request_comes_before_it_takes_effect(rig: Rig) -> None:
    rig.faults.arm(Fault(FaultKind.DISCONNECT, method="add_order"))
    assert await rig.ask("add_order", ORDER) == []
    assert "disconnect" in rig.listener.disconnected
    assert not rig.exchange.known


def test_a_skewed_clock_shows_in_every_response(rig: Rig) -> None:
    rig.faults.arm(Fault(FaultKind.CLOCK_SKEW, seconds=3600))
    rig.send("ping")
    [pong] = rig.listener.answers("pong")
    assert pong["time_in"] == pong["time_out"] == "2026-08-29T11:40:00.000000Z"


async def test_an_order_on_its_way_arrives_although_its_connection_ended(loop_time: LoopTime) -> None:
    rig = Rig(latency=1.0)
    rig.send("add_order", ORDER)
    ending = asyncio.create_task(rig.conversation.end())
    await let_tasks_run()
    assert not rig.exchange.known
    assert not ending.done()
    await loop_time.advance(1.1)
    await ending
    assert len(rig.exchange.known) == 1


async def test_requests_of_one_connection_keep_their_order_whatever_the_way_takes_each(
    loop_time: LoopTime,
) -> None:
    rig = Rig()
    named = {"token": "good", "cl_ord_id": "mine"}
    for latency, method, params in (
        (3.0, "add_order", ORDER | {"cl_ord_id": "mine"}),
        (0.1, "amend_order", named | {"order_qty": 0.6}),
        (2.0, "cancel_order", {"token": "good", "cl_ord_id": ["mine"]}),
        (0.0, "add_order", ORDER | {"cl_ord_id": "mine"}),
    ):
        rig.latency = latency
        rig.send(method, params)
        await let_tasks_run()
    await loop_time.advance(2.5)
    assert rig.listener.messages[1:] == []  # the second and the third have not overtaken the first
    await loop_time.advance(0.6)
    assert [(it["method"], it["success"]) for it in rig.listener.messages[1:]] == [
        ("add_order", True),
        ("amend_order", True),
        ("cancel_order", True),
        ("add_order", True),
    ]


async def test_an_answer_that_is_late_or_lost_holds_up_no_other(loop_time: LoopTime) -> None:
    rig = Rig()
    rig.faults.arm(Fault(FaultKind.SLOW_ACK, method="add_order", seconds=60, count=1))
    rig.faults.arm(Fault(FaultKind.LOST_ACK, method="amend_order"))
    rig.send("add_order", ORDER | {"cl_ord_id": "mine"}, 1)
    rig.send("amend_order", {"token": "good", "cl_ord_id": "mine", "order_qty": 0.6}, 2)
    rig.send("cancel_order", {"token": "good", "cl_ord_id": ["mine"]}, 3)
    await let_tasks_run()
    assert [it["req_id"] for it in rig.listener.messages[1:]] == [3]
    await loop_time.advance(61)
    assert [it["req_id"] for it in rig.listener.messages[1:]] == [3, 1]


async def test_a_failure_of_the_sandbox_itself_is_logged_and_answered(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.exchange.add = None  # type: ignore[assignment, method-assign]
    [answer] = await rig.ask("add_order", ORDER, 2)
    assert (answer["error"], answer["req_id"]) == ("EGeneral:Internal error", 2)
    assert "add_order failed" in caplog.text


async def test_pending_requests_are_bounded(loop_time: LoopTime) -> None:
    rig = Rig(latency=1.0)
    for _ in range(1001):
        rig.send("cancel_all", {"token": "good"})
    await let_tasks_run()
    [answer] = rig.listener.answers("cancel_all")
    assert answer["error"] == "Exceeded msg rate"
    await loop_time.advance(1.1)
    await rig.conversation.end()
    assert [it["success"] for it in rig.listener.answers("cancel_all")] == [False] + [True] * 1000
