"""Borrowed positions: opened, closed, charged for and liquidated as trading.margin says."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from streaming.sandbox.model import (
    Amendment,
    BalanceChanged,
    ExecType,
    OrderChanged,
    OrderState,
    OrderType,
    Refused,
)
from tests.streaming.sandbox.exchange_setup import BTC, BUY, SELL, TERMS, XRP, Bench, d
from trading.margin.account import MarginAccount
from trading.orders import Fill


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        bench.open(USD="1000")
        bench.tick("1000.0")
        yield bench


def test_an_opened_and_closed_position_is_worth_what_the_margin_account_says(bench: Bench) -> None:
    bench.add(BUY, "0.6", leverage=3)
    bench.tick("1050.0")
    bench.add(SELL, "0.6", leverage=3)
    fills = sorted(bench.exchange.fills("alice")[0], key=lambda each: each.at)
    account = MarginAccount.of(TERMS, "USD", {"USD": d(1000)})
    opened, closed = (
        Fill("f", "i", "alice", BTC, each.side, each.price, each.quantity, each.fee, "USD", each.at)
        for each in fills
    )
    expected = account.open_position(opened, d(3), {BTC: d(1000)}).close_position(closed)
    assert bench.balance("USD") == expected.balances["USD"]
    assert bench.exchange.positions("alice") == ()
    assert bench.balance("BTC") == 0


def test_a_margin_fill_says_how_much_margin_it_ties_up(bench: Bench) -> None:
    order = bench.add(BUY, "0.6", leverage=3)
    [fill] = bench.exchange.fills_of_order(order.order_id)
    assert fill.margin == d("0.6") * d("1001.0") / 3


def test_the_trade_balance_adds_up(bench: Bench) -> None:
    bench.add(BUY, "0.6", leverage=2)
    bench.tick("1010.0")
    told = bench.exchange.trade_balance("alice", "USD")
    assert told.equity == told.trade + told.unrealised
    assert told.unrealised == told.valuation - told.cost == d("0.6") * (d("1010.0") - d("1001.0"))
    assert told.margin == told.cost / 2
    assert told.free == told.equity - told.margin
    assert told.level is not None
    assert abs(told.level - told.equity / told.margin * 100) < d("1e-20")


def test_the_trade_balance_of_a_short_counts_down(bench: Bench) -> None:
    bench.add(SELL, "0.6", leverage=2)
    bench.tick("1010.0")
    told = bench.exchange.trade_balance("alice", "USD")
    assert told.unrealised == d("0.6") * (d("999.0") - d("1010.0"))


def test_without_a_position_there_is_no_margin_level(bench: Bench) -> None:
    told = bench.exchange.trade_balance("alice", "USD")
    assert (told.level, told.margin, told.free) == (None, d(0), d(1000))
    with pytest.raises(Refused, match="EQuery:Unknown asset"):
        bench.exchange.trade_balance("alice", "EUR")


def test_no_more_is_lent_than_the_free_margin_covers(bench: Bench) -> None:
    bench.tick("10.0")
    with pytest.raises(Refused, match="EOrder:Insufficient margin"):
        bench.add(BUY, "310", "10.0", leverage=3)
    bench.add(BUY, "250", "9.0", leverage=3)
    with pytest.raises(Refused, match="EOrder:Insufficient margin"):
        bench.add(BUY, "100", "9.0", leverage=3)


def test_an_order_against_a_position_closes_it_before_it_opens_the_other_way(bench: Bench) -> None:
    bench.add(BUY, "0.4", leverage=3)
    bench.add(SELL, "0.6", leverage=3)
    [position] = bench.exchange.positions("alice")
    assert position.quantity == d("-0.2")


def test_reduce_only_closes_and_never_turns_a_position(bench: Bench) -> None:
    bench.add(BUY, "0.4", leverage=3)
    order = bench.add(SELL, "0.6", leverage=3, reduce_only=True)
    assert (order.state, order.filled) == (OrderState.CANCELED, d("0.4"))
    assert order.reason == "Reduce only:Position is closed"
    assert bench.exchange.positions("alice") == ()


def test_a_resting_reduce_only_order_shrinks_with_the_position(bench: Bench) -> None:
    bench.add(BUY, "0.4", leverage=3)
    resting = bench.add(SELL, "0.4", "1000.9", leverage=3, reduce_only=True)
    bench.add(SELL, "0.3", leverage=3)
    [ask] = bench.exchange.book(BTC, 1).asks
    assert (ask.price, ask.quantity) == (d("1000.9"), d("0.1"))
    shrunk = bench.events_of(OrderChanged)[-1]
    assert (shrunk.exec_type, shrunk.order.request.quantity) == (ExecType.RESTATED, d("0.1"))
    amends = bench.exchange.amends("alice", shrunk.order.order_id)
    assert [(each.kind.value, each.amend_id) for each in amends][1:] == [("restated", shrunk.order.amend_id)]
    bench.tick("1012.0", "1", side=BUY)
    ended = bench.exchange.orders("alice", [resting.order_id])[0]
    assert (ended.state, ended.filled) == (OrderState.CLOSED, d("0.1"))
    assert bench.exchange.positions("alice") == ()


def test_reduce_only_orders_end_with_their_position_and_say_so(bench: Bench) -> None:
    bench.add(BUY, "0.4", leverage=3)
    resting = bench.add(SELL, "0.4", "1000.9", leverage=3, reduce_only=True)
    stop = bench.add(
        SELL, "0.4", order_type=OrderType.STOP_LOSS, trigger="900.0", leverage=3, reduce_only=True
    )
    bench.add(SELL, "0.4", leverage=3)
    ended = bench.exchange.orders("alice", [resting.order_id, stop.order_id])
    assert [(each.state, each.reason) for each in ended] == [
        (OrderState.CANCELED, "Reduce only:Position is closed")
    ] * 2
    assert bench.exchange.book(BTC, 1).asks[0].price == d("1001.0")
    assert bench.exchange.open_orders("alice") == []


def test_a_reduce_only_order_is_never_larger_than_the_position(bench: Bench) -> None:
    bench.add(BUY, "0.4", leverage=3)
    order = bench.add(SELL, "0.7", "1000.9", leverage=3, reduce_only=True)
    assert order.remaining == bench.exchange.book(BTC, 1).asks[0].quantity == d("0.4")
    amended = bench.exchange.amend("alice", Amendment(order.order_id, quantity=d("0.6")))
    assert amended.remaining == bench.exchange.book(BTC, 1).asks[0].quantity == d("0.4")


def test_a_fill_that_closes_remembers_the_leverage_of_its_order(bench: Bench) -> None:
    bench.add(BUY, "0.4", leverage=3)
    closing = bench.add(SELL, "0.4", leverage=2)
    [fill] = bench.exchange.fills_of_order(closing.order_id)
    assert (fill.margin, fill.leverage) == (d(0), 2)


def test_every_four_hours_a_rollover_is_charged_once(bench: Bench) -> None:
    bench.add(BUY, "0.6", leverage=3)
    before = bench.balance("USD")
    for hours, periods in [(3, 0), (1, 1), (1, 1), (7, 3)]:
        bench.clock.advance_to(bench.exchange.market_now() + timedelta(hours=hours))
        bench.exchange.elapse()
        bench.exchange.elapse()
        assert bench.balance("USD") == before - periods * d("0.6") * d("1001.0") * TERMS.rollover_fee
    assert {entry.kind for entry in bench.events_of(BalanceChanged)} == {"deposit", "margin", "rollover"}


def test_at_the_liquidation_level_orders_end_and_the_position_is_closed_at_the_market(bench: Bench) -> None:
    bench.add(BUY, "0.9", leverage=3)
    bench.add(BUY, "0.1", leverage=3)
    bench.add(SELL, "0.1", order_type=OrderType.TAKE_PROFIT, trigger="2000.0", leverage=3)
    bench.tick("150.0", "0.01")
    assert bench.exchange.positions("alice") != (), "the level is still above the liquidation level"
    bench.tick("100.0", "0.01")
    assert bench.exchange.positions("alice") == ()
    assert bench.exchange.open_orders("alice") == []
    newest = bench.exchange.closed_orders("alice")[0]
    [liquidation] = [order for order in newest if order.filled and "Liquidation" in order.reason]
    assert (liquidation.filled, liquidation.average_price) == (d(1), d("99.9"))


def test_a_balance_below_zero_after_a_loss_keeps_spot_orders_from_filling(bench: Bench) -> None:
    bench.open("bob", USD="100", BTC="2")
    bench.add(BUY, "0.09", "1000.0", account="bob")
    bench.add(BUY, "0.9", account="bob", leverage=3)
    bench.tick("400.0", "0.0001")
    bench.add(SELL, "0.9", account="bob", leverage=3)
    assert bench.balance("USD", "bob") < 0
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        bench.add(BUY, "0.1", account="bob")


def test_a_resting_order_that_cannot_pay_ends_and_the_taker_goes_on_behind_it(bench: Bench) -> None:
    bench.open("bob", USD="1000", BTC="2")
    bench.open("carol", BTC="2")
    bench.tick("1.0000", pair=XRP)
    resting = bench.add(BUY, "0.9", "999.5", account="bob")
    bench.add(BUY, "900", account="bob", leverage=3, pair=XRP)
    bench.tick("0.5000", pair=XRP)
    bench.add(SELL, "900", account="bob", leverage=3, pair=XRP)
    assert 0 < bench.balance("USD", "bob") < d(599)
    order = bench.add(SELL, "0.6", account="carol")
    ended = bench.exchange.orders("bob", [resting.order_id])[0]
    assert (ended.state, ended.filled, ended.reason) == (OrderState.CANCELED, d(0), "Insufficient funds")
    [fill] = bench.exchange.fills_of_order(order.order_id)
    assert (fill.price, fill.quantity) == (d("999.0"), d("0.6"))
