"""Stops, profits and trailing stops: when the last price sets them off and what becomes of them."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.exchange.prices import absolute, trailing_trigger
from streaming.sandbox.model import (
    Amendment,
    ExchangeOrder,
    ExecType,
    NewOrder,
    OrderChanged,
    OrderState,
    OrderType,
    PriceTerm,
    PriceUnit,
    Refused,
)
from tests.streaming.sandbox.exchange_setup import BTC, BUY, SELL, Bench, d, listing
from trading.orders import Side


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        bench.open(USD="100000", BTC="10")
        bench.tick("1000.0")
        yield bench


def now(bench: Bench, order: ExchangeOrder) -> ExchangeOrder:
    return bench.exchange.orders(order.account, [order.order_id])[0]


@pytest.mark.parametrize(
    ("order_type", "side", "trigger", "short_of", "reaches"),
    [
        (OrderType.STOP_LOSS, SELL, "990.0", "990.1", "990.0"),
        (OrderType.STOP_LOSS, BUY, "1010.0", "1009.9", "1010.0"),
        (OrderType.TAKE_PROFIT, SELL, "1010.0", "1009.9", "1010.0"),
        (OrderType.TAKE_PROFIT, BUY, "990.0", "990.1", "990.0"),
    ],
)
def test_an_order_triggers_at_its_price_and_not_before(
    bench: Bench, order_type: OrderType, side: Side, trigger: str, short_of: str, reaches: str
) -> None:
    order = bench.add(side, "0.1", order_type=order_type, trigger=trigger)
    assert order.state is OrderState.PENDING
    bench.tick(short_of, "0.01")
    assert now(bench, order).state is OrderState.PENDING
    bench.tick(reaches, "0.01")
    fired = now(bench, order)
    assert (fired.state, fired.triggered, fired.filled) == (OrderState.CLOSED, True, d("0.1"))


def test_a_triggered_stop_pays_the_fill_model_around_the_price_that_triggered_it(bench: Bench) -> None:
    order = bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="990.0")
    bench.tick("980.0", "0.01")
    [fill] = bench.exchange.fills_of_order(order.order_id)
    assert fill.price == bench.exchange.book(BTC, 1).bids[0].price == d("979.0")


def test_a_triggered_limit_order_rests_when_the_book_is_worse_than_its_limit(bench: Bench) -> None:
    order = bench.add(SELL, "0.1", "989.5", order_type=OrderType.STOP_LOSS_LIMIT, trigger="990.0")
    bench.tick("985.0", "0.01")
    resting = now(bench, order)
    assert (resting.state, resting.triggered, resting.limit_price) == (OrderState.OPEN, True, d("989.5"))
    assert bench.exchange.book(BTC, 10).asks[0].price <= d("989.5")
    bench.tick("989.6", "1", side=BUY)
    assert now(bench, order).state is OrderState.CLOSED


def test_a_trigger_that_is_reached_already_triggers_at_once(bench: Bench) -> None:
    assert bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="1005.0").state is OrderState.CLOSED


def test_a_trigger_relative_to_the_last_price_becomes_absolute(bench: Bench) -> None:
    order = bench.add(
        SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger=PriceTerm(d("-1.5"), PriceUnit.PERCENT)
    )
    assert order.trigger_price == d("985.0")


def test_orders_trigger_in_the_order_in_which_the_price_passed_them(bench: Bench) -> None:
    low = bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="985.0")
    high = bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="990.0")
    bench.events.clear()
    bench.tick("980.0", "0.01")
    fired = [
        event.order.order_id for event in bench.events_of(OrderChanged) if event.exec_type is ExecType.STATUS
    ]
    assert fired == [high.order_id, low.order_id]


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(bench: Bench) -> None:
    order = bench.add(SELL, "0.1", order_type=OrderType.TRAILING_STOP, trigger="10.0")
    assert order.trigger_price == d("990.0")
    for price, trigger in [("1005.0", "995.0"), ("1000.0", "995.0"), ("1010.0", "1000.0")]:
        bench.tick(price, "0.01", side=BUY)
        assert now(bench, order).trigger_price == d(trigger)
    bench.tick("1000.0", "0.01")
    assert now(bench, order).state is OrderState.CLOSED


def test_a_trailing_buy_follows_downwards_by_percent(bench: Bench) -> None:
    order = bench.add(
        BUY, "0.1", order_type=OrderType.TRAILING_STOP, trigger=PriceTerm(d(1), PriceUnit.PERCENT)
    )
    assert order.trigger_price == d("1010.0")
    bench.tick("900.0", "0.01")
    assert now(bench, order).trigger_price == d("909.0")
    bench.tick("909.0", "0.01")
    assert now(bench, order).state is OrderState.CLOSED


def test_the_relative_limit_of_a_trailing_stop_moves_with_its_trigger(bench: Bench) -> None:
    order = bench.exchange.add(
        "alice",
        _trailing_limit(PriceTerm(d("-2.0"), PriceUnit.DISTANCE)),
    )
    assert (order.trigger_price, order.limit_price) == (d("990.0"), d("988.0"))
    bench.tick("1010.0", "0.01", side=BUY)
    assert (now(bench, order).trigger_price, now(bench, order).limit_price) == (d("1000.0"), d("998.0"))


def test_an_amended_trigger_is_the_one_that_counts(bench: Bench) -> None:
    order = bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="990.0")
    bench.exchange.amend("alice", Amendment(order.order_id, trigger=PriceTerm(d("980.0"))))
    bench.tick("985.0", "0.01")
    assert now(bench, order).state is OrderState.PENDING
    bench.tick("980.0", "0.01")
    assert now(bench, order).state is OrderState.CLOSED


def test_a_cancelled_stop_does_not_trigger(bench: Bench) -> None:
    order = bench.add(SELL, "0.1", order_type=OrderType.STOP_LOSS, trigger="990.0")
    bench.exchange.cancel("alice", order.order_id)
    bench.tick("980.0", "0.01")
    assert now(bench, order).filled == 0


def test_a_trailing_distance_that_leaves_no_price_is_refused(bench: Bench) -> None:
    for value in ("0", "-5", "1000.0"):
        with pytest.raises(Refused, match="EOrder:Invalid price"):
            bench.add(SELL, "0.1", order_type=OrderType.TRAILING_STOP, trigger=value)


def _trailing_limit(limit: PriceTerm) -> NewOrder:
    return NewOrder(
        BTC, SELL, OrderType.TRAILING_STOP_LIMIT, d("0.1"), limit=limit, trigger=PriceTerm(d("10.0"))
    )


INSTRUMENT = listing(BTC).instrument
PRICES = st.decimals(Decimal("0.1"), Decimal("99999"), places=1)


@given(
    peak=PRICES,
    percent=st.decimals(Decimal("0.01"), Decimal("99"), places=2),
    side=st.sampled_from(list(Side)),
)
def test_a_trailing_trigger_is_on_the_grid_and_no_nearer_than_its_distance(
    peak: Decimal, percent: Decimal, side: Side
) -> None:
    exact = peak * (1 + side.sign * percent / 100)
    if exact < INSTRUMENT.price_increment:
        return
    trigger = trailing_trigger(PriceTerm(percent, PriceUnit.PERCENT), peak, side, INSTRUMENT)
    assert trigger % INSTRUMENT.price_increment == 0
    assert 0 <= (trigger - exact) * side.sign < INSTRUMENT.price_increment


@given(last=PRICES, distance=st.decimals(Decimal("-50"), Decimal("50"), places=3))
def test_a_relative_price_is_the_nearest_on_the_grid(last: Decimal, distance: Decimal) -> None:
    if last + distance <= INSTRUMENT.price_increment:
        return
    price = absolute(PriceTerm(distance, PriceUnit.DISTANCE), last, INSTRUMENT)
    assert price % INSTRUMENT.price_increment == 0
    assert abs(price - (last + distance)) <= INSTRUMENT.price_increment / 2


def test_a_stop_that_trails_for_long_does_not_fill_the_memory(bench: Bench) -> None:
    bench.add(SELL, "0.1", order_type=OrderType.TRAILING_STOP, trigger="10.0")
    for tenths in range(10_001, 10_600):
        bench.tick(f"{tenths // 10}.{tenths % 10}", "0.01", side=BUY)
    triggers: Any = bench.exchange._engine.state.markets[BTC].triggers
    assert sum(len(heap) for heap in triggers._firing.values()) < 200
    bench.tick("1049.9", "0.01")
    assert bench.exchange.open_orders("alice") == []
