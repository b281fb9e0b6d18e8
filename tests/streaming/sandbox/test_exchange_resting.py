"""Orders that wait on the book: when the market's own trades and quotes fill them, and in which order."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streaming.sandbox.model import Amendment, BookChanged, ExchangeOrder, OrderState, PriceTerm
from tests.streaming.sandbox.exchange_setup import BTC, BUY, SELL, Bench, d


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        for account in ("alice", "bob"):
            bench.open(account, USD="100000", BTC="100")
        bench.tick("1000.0")
        yield bench


def now(bench: Bench, order: ExchangeOrder) -> ExchangeOrder:
    return bench.exchange.orders(order.account, [order.order_id])[0]


def test_a_trade_through_the_price_fills_at_the_limit_no_more_than_it_traded(bench: Bench) -> None:
    order = bench.add(BUY, "2", "999.5")
    bench.tick("999.3", "0.5")
    [fill] = bench.exchange.fills_of_order(order.order_id)
    assert (fill.price, fill.quantity, fill.maker) == (d("999.5"), d("0.5"), True)
    assert fill.fee == fill.cost * d("0.0025")


def test_a_trade_above_the_price_fills_nothing(bench: Bench) -> None:
    order = bench.add(BUY, "2", "999.0")
    bench.tick("999.9", "50")
    assert now(bench, order).filled == 0


def test_one_trade_is_shared_by_price_and_then_by_time(bench: Bench) -> None:
    older = bench.add(BUY, "1", "999.4")
    newer = bench.add(BUY, "1", "999.4", account="bob")
    better = bench.add(BUY, "1", "999.6", account="bob")
    bench.tick("999.2", "1.5")
    assert [now(bench, each).filled for each in (better, older, newer)] == [d(1), d("0.5"), d(0)]


def test_at_its_price_an_order_waits_until_what_stood_before_it_has_traded(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).bids[0]
    order = bench.add(BUY, "1", str(best.price))
    bench.tick(str(best.price), str(best.quantity - d("0.2")))
    assert now(bench, order).filled == 0
    bench.tick(str(best.price), "0.5")
    assert now(bench, order).filled == d("0.3")


def test_what_other_clients_take_from_the_market_maker_brings_the_queue_forward(bench: Bench) -> None:
    best = bench.exchange.book(BTC, 1).bids[0]
    order = bench.add(BUY, "1", str(best.price))
    bench.add(SELL, str(best.quantity - d("0.2")), account="bob")
    bench.tick(str(best.price), "0.5")
    assert now(bench, order).filled == d("0.3")


def test_a_trade_of_buyers_does_not_bring_the_queue_of_buyers_forward(bench: Bench) -> None:
    order = bench.add(BUY, "1", "999.5")
    bench.tick("999.5", "50", side=BUY)
    assert now(bench, order).filled == 0
    bench.tick("999.5", "50", side=SELL)
    assert now(bench, order).filled == d(1)


def test_quotes_that_come_to_the_price_fill_at_the_limit_up_to_their_quantity(bench: Bench) -> None:
    order = bench.add(BUY, "50", "999.0")
    bench.tick("996.0", "0.001")
    filled = now(bench, order).filled
    assert filled > d("0.9")
    assert {fill.price for fill in bench.exchange.fills_of_order(order.order_id)} == {d("999.0")}
    book = bench.exchange.book(BTC, 1)
    assert book.bids[0].price == d("999.0")
    assert not book.asks or book.asks[0].price > d("999.0")


def test_a_smaller_quantity_keeps_the_place_in_the_queue(bench: Bench) -> None:
    first = bench.add(BUY, "1", "999.5")
    second = bench.add(BUY, "1", "999.5", account="bob")
    bench.exchange.amend("alice", Amendment(first.order_id, quantity=d("0.6")))
    bench.tick("999.2", "0.6")
    assert now(bench, first).state is OrderState.CLOSED
    assert now(bench, second).filled == 0


@pytest.mark.parametrize("change", [{"quantity": d("1.5")}, {"limit": PriceTerm(d("999.4"))}])
def test_a_larger_quantity_or_another_price_goes_to_the_end_of_the_queue(
    bench: Bench, change: dict[str, object]
) -> None:
    first = bench.add(BUY, "1", "999.5")
    second = bench.add(BUY, "1", str(change["limit"].value if "limit" in change else "999.5"), account="bob")  # type: ignore[attr-defined]
    bench.exchange.amend("alice", Amendment(first.order_id, **change))  # type: ignore[arg-type]
    bench.tick("999.2", "1")
    assert now(bench, second).state is OrderState.CLOSED
    assert now(bench, first).filled == 0


def test_the_events_of_the_book_rebuild_the_book(bench: Bench) -> None:
    bench.add(BUY, "1", "999.5")
    bench.add(SELL, "1", "1000.5", account="bob")
    bench.tick("1003.0", "0.4", side=BUY)
    bench.add(BUY, "3")
    bench.exchange.cancel_all("alice")
    sides: tuple[dict[object, object], dict[object, object]] = ({}, {})
    for event in bench.events_of(BookChanged):
        for side, levels in zip(sides, (event.bids, event.asks), strict=True):
            for level in levels:
                assert side.get(level.price, d(0)) != level.quantity, "a level was told that did not change"
                side[level.price] = level.quantity
    book = bench.exchange.book(BTC, 1000)
    for side, levels in zip(sides, (book.bids, book.asks), strict=True):
        assert {price: q for price, q in side.items() if q} == {
            level.price: level.quantity for level in levels
        }


def test_a_trade_of_the_market_is_printed_even_when_it_fills_nobody(bench: Bench) -> None:
    before = bench.exchange.tape(BTC).last_id
    bench.tick("1000.2", "0.7")
    [printed] = bench.exchange.tape(BTC).newest(1)
    assert (printed.trade_id, printed.price, printed.quantity) == (before + 1, d("1000.2"), d("0.7"))


def test_the_book_shows_what_is_left_when_one_of_several_orders_leaves_a_price(bench: Bench) -> None:
    first = bench.add(BUY, "1", "999.5")
    bench.add(BUY, "0.4", "999.5", account="bob")
    bench.exchange.cancel("alice", first.order_id)
    best = bench.exchange.book(BTC, 1).bids[0]
    assert (best.price, best.quantity) == (d("999.5"), d("0.4"))


def test_the_store_deletes_a_price_when_no_order_rests_there_any_more(bench: Bench) -> None:
    order = bench.add(BUY, "1", "999.5")
    bench.exchange.amend("alice", Amendment(order.order_id, limit=PriceTerm(d("999.4"))))
    assert bench.store.rows("SELECT price FROM levels") == [("999.4",)]
    bench.exchange.cancel("alice", order.order_id)
    assert bench.store.rows("SELECT price FROM levels") == []
