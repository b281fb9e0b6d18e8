"""Orders that take: from the market maker at the fill model's price, from other clients by price and time."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.exchange.book_sides import RestingOrders
from streaming.sandbox.exchange.matching import match_book
from streaming.sandbox.model import (
    ExecType,
    OrderChanged,
    OrderState,
    Refused,
    SelfTrade,
    TimeInForce,
    TradesPrinted,
)
from tests.streaming.sandbox.exchange_setup import BTC, BUY, SELL, START, Bench, d, listing, new
from trading.orders import OrderIntent, Side
from trading.venues.paper_market import PricePoint
from trading.venues.paper_orders import fill_at


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        for account in ("alice", "bob", "carol"):
            bench.open(account, USD="100000", BTC="100")
        bench.tick("1000.0")
        yield bench


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("price", ["1000.0", "36512.7", "0.3"])
def test_a_market_order_pays_what_the_paper_venue_pays(tmp_path: Path, side: Side, price: str) -> None:
    with closing(Bench(tmp_path / "exchange.db", {BTC: listing(BTC)})) as bench:
        bench.open(USD="100000", BTC="100")
        bench.tick(price)
        order = bench.add(side, "0.01" if d(price) > 1 else "10")
        [execution] = bench.exchange.fills_of_order(order.order_id)
        listed = bench.listings[BTC]
    intent = OrderIntent("i", "d", "alice", BTC, side, order.filled, False, None, None, START)
    point = PricePoint(float(price), START, START)
    paper = fill_at(point, intent, 1, order.filled, listed.instrument, listed.costs)
    assert (execution.price, execution.quantity, execution.fee) == (paper.price, paper.quantity, paper.fee)


def test_a_large_market_order_walks_up_the_quotes_and_pays_each_its_price(bench: Bench) -> None:
    asks = bench.exchange.book(BTC, 3).asks
    quantity = asks[0].quantity + asks[1].quantity + d("0.1")
    order = bench.add(BUY, str(quantity))
    fills = bench.exchange.fills_of_order(order.order_id)
    assert [fill.price for fill in fills] == [ask.price for ask in asks]
    assert fills[2].quantity == d("0.1")
    assert order.cost == sum(fill.price * fill.quantity for fill in fills)
    assert order.fee == order.cost * d("0.004")


def test_what_a_market_order_finds_no_quote_for_is_cancelled(bench: Bench) -> None:
    order = bench.add(BUY, "50")
    assert order.state is OrderState.CANCELED
    assert 0 < order.filled < 50
    assert bench.exchange.book(BTC, 10).asks == ()


def test_quotes_that_were_taken_come_back_when_the_market_moves(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    bench.add(BUY, str(best.quantity))
    assert bench.exchange.book(BTC, 1).asks[0].price > best.price
    bench.tick("1000.0")
    assert bench.exchange.book(BTC, 1).asks[0].price == best.price


def test_a_limit_order_that_crosses_takes_and_the_rest_waits_at_its_limit(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    order = bench.add(BUY, str(best.quantity + 1), "1001.0")
    assert (order.state, order.filled) == (OrderState.OPEN, best.quantity)
    top = bench.exchange.book(BTC, 1).bids[0]
    assert (top.price, top.quantity) == (d("1001.0"), d(1))


def test_clients_trade_with_each_other_at_the_price_of_the_maker(bench: Bench) -> None:
    maker = bench.add(SELL, "0.4", "1000.5", account="bob")
    taker = bench.add(BUY, "0.4", "1000.9")
    [sold], [bought] = (bench.exchange.fills_of_order(each.order_id) for each in (maker, taker))
    assert sold.price == bought.price == d("1000.5")
    assert sold.trade_id == bought.trade_id
    assert (sold.maker, bought.maker) == (True, False)
    assert sold.fee == sold.cost * d("0.0025")
    assert bought.fee == bought.cost * d("0.004")


def test_at_one_price_the_older_order_trades_first(bench: Bench) -> None:
    first = bench.add(SELL, "0.3", "1000.5", account="bob")
    second = bench.add(SELL, "0.3", "1000.5", account="carol")
    bench.add(BUY, "0.4")
    filled = [bench.exchange.orders(each.account, [each.order_id])[0].filled for each in (first, second)]
    assert filled == [d("0.3"), d("0.1")]


def test_a_better_price_trades_before_an_older_order(bench: Bench) -> None:
    old = bench.add(SELL, "0.3", "1000.6", account="bob")
    better = bench.add(SELL, "0.3", "1000.5", account="carol")
    bench.add(BUY, "0.3")
    assert bench.exchange.orders("carol", [better.order_id])[0].state is OrderState.CLOSED
    assert bench.exchange.orders("bob", [old.order_id])[0].filled == 0


def test_the_market_makers_quantity_stands_before_an_order_that_came_after_it(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    waiting = bench.add(SELL, "0.2", str(best.price), account="bob")
    bench.add(BUY, str(best.quantity))
    assert bench.exchange.orders("bob", [waiting.order_id])[0].filled == 0
    bench.add(BUY, "0.2")
    assert bench.exchange.orders("bob", [waiting.order_id])[0].state is OrderState.CLOSED


def test_a_post_only_order_that_would_take_is_refused_and_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(Refused, match="EOrder:Post only order"):
        bench.add(BUY, "0.1", "1001.0", post_only=True)
    assert bench.exchange.open_orders("alice") == []
    assert bench.add(BUY, "0.1", "1000.9", post_only=True).state is OrderState.OPEN


def test_immediate_or_cancel_takes_what_is_there_and_ends(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    order = bench.add(BUY, str(best.quantity + 1), "1001.0", time_in_force=TimeInForce.IOC)
    assert (order.state, order.filled) == (OrderState.CANCELED, best.quantity)
    assert bench.exchange.reserved("alice") == {}


def test_fill_or_kill_takes_all_or_nothing(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).asks[0]
    killed = bench.add(BUY, str(best.quantity + 1), "1001.0", time_in_force=TimeInForce.FOK)
    assert (killed.state, killed.filled) == (OrderState.CANCELED, d(0))
    filled = bench.add(BUY, str(best.quantity), "1001.0", time_in_force=TimeInForce.FOK)
    assert filled.state is OrderState.CLOSED


def owing(bench: Bench) -> str:
    """Bob has two reduce-only orders, each for his whole position of 0.4: together 0.8 asked, 0.4 behind it."""
    bench.open("bob2", USD="100000")
    bench.add(BUY, "0.4", account="bob2", leverage=3)
    for limit in ("1000.5", "1000.6"):
        bench.add(SELL, "0.4", limit, account="bob2", leverage=3, reduce_only=True)
    return "bob2"


@pytest.mark.parametrize("limit", [None, "1000.9"])
def test_fill_or_kill_counts_of_an_order_only_what_it_could_settle(bench: Bench, limit: str | None) -> None:
    maker = owing(bench)
    asked = (
        "0.8" if limit else str(d("0.8") + sum(ask.quantity for ask in bench.exchange.book(BTC, 9).asks[2:]))
    )
    killed = bench.add(BUY, asked, limit, time_in_force=TimeInForce.FOK)
    assert (killed.state, killed.filled) == (OrderState.CANCELED, d(0))
    assert killed.reason == "Fill or kill: not enough on the book"
    assert len(bench.exchange.open_orders(maker)) == 2
    filled = bench.add(BUY, str(d(asked) - d("0.4")), limit, time_in_force=TimeInForce.FOK)
    assert filled.state is OrderState.CLOSED


def test_fill_or_kill_goes_on_behind_an_order_that_cannot_settle(bench: Bench) -> None:
    owing(bench)
    order = bench.add(BUY, "0.9", time_in_force=TimeInForce.FOK)
    assert order.state is OrderState.CLOSED
    assert [fill.price for fill in bench.exchange.fills_of_order(order.order_id)] == [
        d("1000.5"),
        d("1001.0"),
    ]


def test_an_account_never_trades_with_itself_and_the_newer_order_says_why_it_ended(bench: Bench) -> None:
    resting = bench.add(SELL, "0.4", "1000.5")
    order = bench.add(BUY, "0.6")
    assert (order.state, order.filled) == (OrderState.CANCELED, d(0))
    assert order.reason == "Cannot trade with self"
    assert bench.exchange.orders("alice", [resting.order_id])[0].state is OrderState.OPEN


@pytest.mark.parametrize(
    ("wanted", "newest", "filled", "oldest"),
    [
        (SelfTrade.CANCEL_NEWEST, OrderState.CANCELED, "0.2", OrderState.OPEN),
        (SelfTrade.CANCEL_BOTH, OrderState.CANCELED, "0.2", OrderState.CANCELED),
        (SelfTrade.CANCEL_OLDEST, OrderState.CLOSED, "0.6", OrderState.CANCELED),
    ],
)
def test_the_arriving_order_says_which_of_two_orders_of_an_account_ends(
    bench: Bench, wanted: SelfTrade, newest: OrderState, filled: str, oldest: OrderState
) -> None:
    bench.add(SELL, "0.2", "1000.4", account="bob")
    own = [bench.add(SELL, "0.3", price) for price in ("1000.5", "1000.6", "1100")]
    order = bench.add(BUY, "0.6", self_trade=wanted)
    assert (order.state, order.filled) == (newest, d(filled))
    first, second, beyond = bench.exchange.orders("alice", [each.order_id for each in own])
    assert (first.state, beyond.state) == (oldest, OrderState.OPEN)
    assert second.state is (oldest if wanted is SelfTrade.CANCEL_OLDEST else OrderState.OPEN)
    assert first.reason == ("" if first.state is OrderState.OPEN else "Cannot trade with self")
    assert not any(
        fill.order_id in {each.order_id for each in own} for fill in bench.exchange.fills("alice")[0]
    )


def test_fill_or_kill_counts_what_lies_behind_the_own_order_that_it_cancels(bench: Bench) -> None:
    bench.add(SELL, "0.3", "1000.4")
    killed = bench.add(BUY, "0.6", time_in_force=TimeInForce.FOK)
    assert killed.state is OrderState.CANCELED
    order = bench.add(BUY, "0.6", time_in_force=TimeInForce.FOK, self_trade=SelfTrade.CANCEL_OLDEST)
    assert (order.state, order.filled) == (OrderState.CLOSED, d("0.6"))
    assert bench.exchange.open_orders("alice") == []


def test_what_is_offered_before_the_own_order_is_still_taken(bench: Bench) -> None:
    bench.add(SELL, "0.2", "1000.4", account="bob")
    bench.add(SELL, "0.4", "1000.5")
    order = bench.add(BUY, "0.6")
    assert (order.state, order.filled) == (OrderState.CANCELED, d("0.2"))


def test_every_fill_is_printed_with_the_next_trade_id(bench: Bench) -> None:
    before = bench.exchange.tape(BTC).last_id
    bench.add(BUY, "3")
    [printed] = [event for event in bench.events_of(TradesPrinted) if event.prints[0].trade_id > before]
    count = len(printed.prints)
    assert count > 1
    assert [each.trade_id for each in printed.prints] == list(range(before + 1, before + count + 1))
    assert bench.exchange.tape(BTC).newest(count) == list(printed.prints)


def test_the_events_of_an_order_come_in_order(bench: Bench) -> None:
    order = bench.add(BUY, "0.1")
    told = [(event.exec_type, event.order.state) for event in bench.events_of(OrderChanged)]
    assert told == [
        (ExecType.PENDING_NEW, OrderState.PENDING),
        (ExecType.NEW, OrderState.OPEN),
        (ExecType.TRADE, OrderState.CLOSED),
        (ExecType.FILLED, OrderState.CLOSED),
    ]
    assert bench.events_of(OrderChanged)[-1].order == order


def test_validate_checks_everything_and_places_nothing(bench: Bench) -> None:
    order = bench.exchange.add("alice", new(BUY, "0.1", "990"), validate=True)
    assert order.order_id == ""
    assert bench.exchange.open_orders("alice") == []
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        bench.exchange.add("alice", new(BUY, "5000", "990"), validate=True)


@given(
    quotes=st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 50)), max_size=8, unique_by=lambda each: each[0]
    ),
    quantity=st.integers(1, 300),
    limit=st.none() | st.integers(1, 30),
    side=st.sampled_from(list(Side)),
)
def test_a_match_never_takes_more_than_is_there_nor_a_worse_price_than_the_limit(
    quotes: list[tuple[int, int]], quantity: int, limit: int | None, side: Side
) -> None:
    ordered = sorted(((Decimal(p), Decimal(q)) for p, q in quotes), reverse=side is Side.SELL)
    bound = None if limit is None else Decimal(limit)
    other = Side.SELL if side is Side.BUY else Side.BUY
    match = match_book(side, bound, Decimal(quantity), "alice", ordered, RestingOrders(other))
    there = sum(q for p, q in ordered if bound is None or (p - bound) * side.sign <= 0)
    assert sum(step.quantity for step in match.steps) == min(Decimal(quantity), there)
    assert match.unfilled == Decimal(quantity) - sum(step.quantity for step in match.steps)
    assert [step.price for step in match.steps] == [p for p, _ in ordered][: len(match.steps)]
    assert all(bound is None or (step.price - bound) * side.sign <= 0 for step in match.steps)
