"""What the exchange refuses, in which words, and that a refusal leaves everything as it was."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.sandbox.model import (
    Amendment,
    CloseOrder,
    NewOrder,
    OrderState,
    OrderType,
    PriceTerm,
    PriceUnit,
    Refused,
    TimeInForce,
)
from tests.streaming.sandbox.exchange_setup import BTC, BUY, SELL, XRP, Bench, d, new
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        bench.open(USD="10000", BTC="1")
        bench.tick("1000.0")
        yield bench


NAN, INFINITE, HUGE = Decimal("NaN"), Decimal("Infinity"), Decimal("1e400")
ORDER = new(BUY, "0.1", "990.0")
REFUSALS: list[tuple[NewOrder, str]] = [
    (replace(ORDER, pair=Pair("ETH", "USD")), "EQuery:Unknown asset pair"),
    (replace(ORDER, quantity=d("0.0005")), "EOrder:Order minimum not met"),
    (replace(ORDER, quantity=d("0.10001")), "EGeneral:Invalid arguments:volume"),
    (replace(ORDER, quantity=d("-1")), "EGeneral:Invalid arguments:volume"),
    (replace(ORDER, quantity=NAN), "EGeneral:Invalid arguments:volume"),
    (replace(ORDER, quantity=INFINITE), "EGeneral:Invalid arguments:volume"),
    (replace(ORDER, quantity=HUGE), "EGeneral:Invalid arguments:volume"),
    (replace(ORDER, quantity=Decimal("1e-400")), "EGeneral:Invalid arguments:volume"),
    (replace(ORDER, quantity=0.1), "EGeneral:Invalid arguments:volume"),  # type: ignore[arg-type]
    (replace(ORDER, limit=PriceTerm(d("0.1"))), "EOrder:Cost minimum not met"),
    (replace(ORDER, limit=PriceTerm(d("990.05"))), "EOrder:Tick size check failed"),
    (replace(ORDER, limit=PriceTerm(d(0))), "EOrder:Invalid price"),
    (replace(ORDER, limit=PriceTerm(NAN)), "EOrder:Invalid price"),
    (replace(ORDER, limit=PriceTerm(HUGE)), "EOrder:Invalid price"),
    (replace(ORDER, limit=PriceTerm(d("-200"), PriceUnit.PERCENT)), "EOrder:Invalid price"),
    (replace(ORDER, limit=None), "EGeneral:Invalid arguments:limit price missing"),
    (
        replace(ORDER, order_type=OrderType.STOP_LOSS_LIMIT),
        "EGeneral:Invalid arguments:trigger price missing",
    ),
    (replace(ORDER, order_type=OrderType.MARKET), "EGeneral:Invalid arguments:limit price"),
    (replace(ORDER, trigger=PriceTerm(d(1))), "EGeneral:Invalid arguments:trigger price"),
    (replace(ORDER, post_only=True, time_in_force=TimeInForce.IOC), "EGeneral:Invalid arguments:post_only"),
    (replace(ORDER, time_in_force=TimeInForce.GTD), "EGeneral:Invalid arguments:expiretm"),
    (
        replace(ORDER, time_in_force=TimeInForce.GTD, expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
        "EGeneral:Invalid arguments:expiretm",
    ),
    (replace(ORDER, leverage=4), "EGeneral:Invalid arguments:leverage"),
    (replace(ORDER, leverage=0), "EGeneral:Invalid arguments:leverage"),
    (replace(ORDER, reduce_only=True), "EOrder:Reduce only:No position exists"),
    (replace(ORDER, reduce_only=True, leverage=2), "EOrder:Reduce only:No position exists"),
    (replace(ORDER, client_order_id="x" * 37), "EGeneral:Invalid arguments:cl_ord_id"),
    (replace(ORDER, client_order_id="x", user_reference=1), "EGeneral:Invalid arguments:cl_ord_id"),
    (replace(ORDER, quantity=d("10.1"), limit=PriceTerm(d("1000.0"))), "EOrder:Insufficient funds"),
    (new(SELL, "1.1", "1010.0"), "EOrder:Insufficient funds"),
]


@pytest.mark.parametrize(("order", "reason"), REFUSALS)
def test_a_refusal_says_why_and_changes_nothing(bench: Bench, order: NewOrder, reason: str) -> None:
    before = (bench.exchange.balances("alice"), bench.exchange.reserved("alice"), len(bench.events))
    with pytest.raises(Refused) as refused:
        bench.exchange.add("alice", order)
    assert str(refused.value).startswith(reason)
    assert (bench.exchange.balances("alice"), bench.exchange.reserved("alice"), len(bench.events)) == before
    assert bench.exchange.closed_orders("alice") == ([], 0)


def test_a_price_that_needs_a_last_price_waits_for_one(bench: Bench) -> None:
    with pytest.raises(Refused, match="EService:Unavailable"):
        bench.add(BUY, "10", order_type=OrderType.TRAILING_STOP, trigger="0.1", pair=XRP)


def test_nobody_else_can_see_or_cancel_an_order(bench: Bench) -> None:
    order = bench.add(BUY, "0.1", "990.0")
    bench.open("bob", USD="1")
    with pytest.raises(Refused, match="EOrder:Unknown order"):
        bench.exchange.orders("bob", [order.order_id])
    with pytest.raises(Refused, match="EOrder:Unknown order"):
        bench.exchange.cancel("bob", order.order_id)


def test_an_open_buy_reserves_its_cost_and_the_highest_fee(bench: Bench) -> None:
    bench.add(BUY, "1", "990.0")
    assert bench.exchange.reserved("alice") == {"USD": d(990) * d("1.004")}
    bench.add(SELL, "0.4", "1010.0")
    assert bench.exchange.reserved("alice")["BTC"] == d("0.4")


def test_what_open_orders_reserve_is_not_available_to_others(bench: Bench) -> None:
    bench.add(BUY, "9", "990.0")
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        bench.add(BUY, "2", "990.0")
    bench.exchange.cancel_all("alice")
    assert bench.exchange.reserved("alice") == {}
    assert bench.add(BUY, "2", "990.0").state is OrderState.OPEN


def test_a_sell_stop_reserves_what_it_will_sell(bench: Bench) -> None:
    bench.add(SELL, "0.7", order_type=OrderType.STOP_LOSS, trigger="900.0")
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        bench.add(SELL, "0.7", order_type=OrderType.TAKE_PROFIT, trigger="1100.0")


def test_a_client_order_id_is_unique_among_open_orders_only(bench: Bench) -> None:
    first = bench.add(BUY, "0.1", "990.0", client_order_id="mine")
    with pytest.raises(Refused, match="cl_ord_id not unique"):
        bench.add(BUY, "0.1", "990.0", client_order_id="mine")
    bench.exchange.cancel("alice", "mine")
    second = bench.add(BUY, "0.1", "991.0", client_order_id="mine")
    assert first.order_id != second.order_id
    assert bench.exchange.order_by_client_id("alice", "mine") == second
    bench.exchange.cancel_all("alice")
    newest = bench.exchange.order_by_client_id("alice", "mine")
    assert newest is not None
    assert newest.order_id == second.order_id


def test_a_user_reference_cancels_every_order_that_has_it(bench: Bench) -> None:
    for price in ("990.0", "991.0"):
        bench.add(BUY, "0.1", price, user_reference=7)
    kept = bench.add(BUY, "0.1", "992.0", user_reference=8)
    assert len(bench.exchange.cancel("alice", "7")) == 2
    assert bench.exchange.open_orders("alice") == [kept]


def test_no_more_orders_of_a_pair_than_the_highest_tier_allows(bench: Bench) -> None:
    for _ in range(225):
        bench.add(BUY, "0.001", "900.0")
    with pytest.raises(Refused, match="EOrder:Orders limit exceeded"):
        bench.add(BUY, "0.001", "900.0")


@pytest.mark.parametrize(
    ("status", "order", "reason"),
    [
        (PairStatus.CANCEL_ONLY, ORDER, "EService:Market in cancel_only mode"),
        (PairStatus.POST_ONLY, ORDER, "EService:Market in post_only mode"),
        (PairStatus.LIMIT_ONLY, new(BUY, "0.1"), "EService:Market in limit_only mode"),
        (PairStatus.REDUCE_ONLY, ORDER, "EService:Market in reduce_only mode"),
        (PairStatus.MAINTENANCE, ORDER, "EService:Unavailable"),
    ],
)
@pytest.mark.parametrize("pair", [None, BTC])
def test_a_market_that_is_not_online_refuses_in_its_own_words(
    bench: Bench, status: PairStatus, order: NewOrder, reason: str, pair: Pair | None
) -> None:
    bench.exchange.set_status(pair, status)
    with pytest.raises(Refused, match=reason):
        bench.exchange.add("alice", order)
    bench.exchange.set_status(pair, PairStatus.ONLINE)
    bench.exchange.add("alice", order)


def test_cancelling_works_in_cancel_only_mode_and_not_in_maintenance(bench: Bench) -> None:
    for _ in range(2):
        bench.add(BUY, "0.1", "990.0")
    bench.exchange.set_status(None, PairStatus.CANCEL_ONLY)
    bench.exchange.cancel("alice", bench.exchange.open_orders("alice")[0].order_id)
    bench.exchange.set_status(None, PairStatus.MAINTENANCE)
    with pytest.raises(Refused, match="EService:Unavailable"):
        bench.exchange.cancel_all("alice")
    assert len(bench.exchange.open_orders("alice")) == 1


def test_a_halted_market_neither_trades_nor_triggers_orders(bench: Bench) -> None:
    stop = bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="990.0")
    limit = bench.add(BUY, "0.1", "990.0")
    bench.exchange.set_status(BTC, PairStatus.CANCEL_ONLY)
    last = bench.exchange.tape(BTC).last_id
    bench.tick("900.0", "5")
    assert bench.exchange.tape(BTC).last_id == last
    assert bench.exchange.open_orders("alice") == [stop, limit]
    bench.exchange.set_status(BTC, PairStatus.ONLINE)
    bench.tick("900.0", "5")
    assert bench.exchange.open_orders("alice") == []


def test_an_edit_is_a_new_order_in_place_of_the_old_one(bench: Bench) -> None:
    old = bench.add(BUY, "9", "990.0", client_order_id="mine")
    edited = bench.exchange.edit("alice", Amendment(old.order_id, limit=PriceTerm(d("995.0"))))
    assert edited.order_id != old.order_id
    assert (edited.limit_price, edited.request.client_order_id) == (d("995.0"), "mine")
    assert bench.exchange.open_orders("alice") == [edited]
    assert bench.exchange.orders("alice", [old.order_id])[0].state is OrderState.CANCELED


def test_an_edit_that_is_refused_leaves_the_old_order(bench: Bench) -> None:
    old = bench.add(BUY, "9", "990.0")
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        bench.exchange.edit("alice", Amendment(old.order_id, quantity=d(12)))
    assert bench.exchange.open_orders("alice") == [old]


def test_an_amendment_to_what_is_filled_cancels_the_rest(bench: Bench) -> None:
    order = bench.add(BUY, "2", "999.5")
    bench.tick("999.2", "0.5")
    amended = bench.exchange.amend("alice", Amendment(order.order_id, quantity=d("0.5")))
    assert (amended.state, amended.filled) == (OrderState.CANCELED, d("0.5"))


def test_an_amended_price_that_crosses_takes_unless_it_is_post_only(bench: Bench) -> None:
    order = bench.add(BUY, "0.5", "990.0")
    with pytest.raises(Refused, match="EOrder:Post only order"):
        bench.exchange.amend("alice", Amendment(order.order_id, limit=PriceTerm(d("1001.0")), post_only=True))
    assert (
        bench.exchange.amend("alice", Amendment(order.order_id, limit=PriceTerm(d("1001.0")))).state
        is OrderState.CLOSED
    )


@pytest.mark.parametrize(
    "changes",
    [{"trigger": PriceTerm(d(1))}, {"quantity": NAN}, {"quantity": d(100)}, {"limit": PriceTerm(NAN)}],
)
def test_an_amendment_that_is_refused_changes_nothing(bench: Bench, changes: dict[str, Any]) -> None:
    order = bench.add(BUY, "0.5", "990.0")
    held = bench.exchange.reserved("alice")
    with pytest.raises(Refused):
        bench.exchange.amend("alice", Amendment(order.order_id, **changes))
    assert bench.exchange.open_orders("alice") == [order]
    assert bench.exchange.reserved("alice") == held


def test_each_fill_places_a_close_order_for_its_quantity(bench: Bench) -> None:
    close = CloseOrder(OrderType.TAKE_PROFIT, None, PriceTerm(d("1100.0")))
    parent = bench.add(BUY, "2", "999.5", close=close)
    bench.tick("999.2", "0.5")
    bench.tick("999.2", "0.7")
    children = [order for order in bench.exchange.open_orders("alice") if order.parent_id == parent.order_id]
    assert [(child.request.side, child.request.quantity, child.trigger_price) for child in children] == [
        (SELL, d("0.5"), d("1100.0")),
        (SELL, d("0.7"), d("1100.0")),
    ]


def test_a_close_order_that_cannot_be_placed_is_recorded_with_the_reason(bench: Bench) -> None:
    close = CloseOrder(OrderType.LIMIT, PriceTerm(d("200000.0")), None)
    parent = bench.add(SELL, "0.1", close=close)
    orders, _ = bench.exchange.closed_orders("alice")
    [child] = [order for order in orders if order.parent_id == parent.order_id]
    assert (child.state, child.reason) == (OrderState.CANCELED, "EOrder:Insufficient funds")


PERCENT_BELOW = PriceTerm(d("100"), PriceUnit.PERCENT)


@pytest.mark.parametrize("validate", [False, True])
@pytest.mark.parametrize(
    ("close", "refusal"),
    [
        (CloseOrder(OrderType.LIMIT, PriceTerm(d("1100.05")), None), "EOrder:Tick size check failed"),
        (CloseOrder(OrderType.LIMIT, PriceTerm(d("-1")), None), "EOrder:Invalid price"),
        (CloseOrder(OrderType.STOP_LOSS, None, PriceTerm(d("990.01"))), "EOrder:Tick size check failed"),
        (CloseOrder(OrderType.STOP_LOSS, None, PriceTerm(d("0.1"))), "EOrder:Cost minimum not met"),
        (
            CloseOrder(OrderType.STOP_LOSS, None, PriceTerm(d("-100"), PriceUnit.PERCENT)),
            "EOrder:Invalid price",
        ),
        (CloseOrder(OrderType.TRAILING_STOP, None, PERCENT_BELOW), "EOrder:Invalid price"),
        (CloseOrder(OrderType.STOP_LOSS, None, None), "EGeneral:Invalid arguments:trigger price missing"),
        (CloseOrder(OrderType.LIMIT, None, None), "EGeneral:Invalid arguments:limit price missing"),
    ],
)
def test_a_close_order_that_could_never_be_placed_is_refused_with_its_order(
    bench: Bench, close: CloseOrder, refusal: str, validate: bool
) -> None:
    with pytest.raises(Refused, match=refusal):
        bench.exchange.add("alice", new(BUY, "0.1", close=close), validate)
    assert bench.exchange.fills("alice") == ([], 0)


def test_an_account_of_assets_that_nothing_prices_is_not_opened(bench: Bench) -> None:
    with pytest.raises(InvalidValue, match="DOGE is not traded here"):
        bench.open("bob", DOGE="1")
    with pytest.raises(InvalidValue, match="0 or more"):
        bench.open("bob", USD="-1")
    assert bench.exchange.accounts() == ["alice"]


def test_opening_an_account_again_changes_nothing(bench: Bench) -> None:
    bench.open("alice", USD="1")
    assert bench.balance("USD") == d(10000)


@settings(max_examples=200)
@given(
    quantity=st.decimals(allow_nan=True, allow_infinity=True),
    limit=st.decimals(allow_nan=True, allow_infinity=True),
    unit=st.sampled_from(list(PriceUnit)),
    kind=st.sampled_from(list(OrderType)),
    leverage=st.integers(-1, 4),
)
def test_any_numbers_give_an_order_or_one_refusal(
    tmp_path_factory: pytest.TempPathFactory,
    quantity: Decimal,
    limit: Decimal,
    unit: PriceUnit,
    kind: OrderType,
    leverage: int,
) -> None:
    bench = _shared(tmp_path_factory)
    term = PriceTerm(limit, unit)
    order = NewOrder(
        BTC,
        BUY,
        kind,
        quantity,
        limit=term if "limit" in kind else None,
        trigger=term if kind not in (OrderType.LIMIT, OrderType.MARKET) else None,
        leverage=leverage,
    )
    try:
        accepted = bench.exchange.add("alice", order, validate=True)
    except Refused:
        return
    prices = [price for price in (accepted.limit_price, accepted.trigger_price) if price is not None]
    assert all(price > 0 and price % d("0.1") == 0 for price in prices)
    assert accepted.request.quantity % d("0.0001") == 0


SHARED: list[Bench] = []


def _shared(factory: pytest.TempPathFactory) -> Bench:
    if not SHARED:
        SHARED.append(Bench(factory.mktemp("shared") / "exchange.db"))
        SHARED[0].open(USD="10000")
        SHARED[0].tick("1000.0")
    return SHARED[0]


def teardown_module() -> None:
    for bench in SHARED:
        bench.close()
