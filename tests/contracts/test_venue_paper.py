"""The paper venue, beyond what every venue promises: its words and exact numbers, and prices that are not there yet."""

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.trade import BTC, HOUR, NOON, OPENING
from tests.contracts.venues import PaperWorld, asked, memory_journal
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus
from trading.orders import OrderStatus, Side
from trading.venues.paper import rounded_against


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld(memory_journal())
    world.quotes.prices[BTC] = 10_000.0
    return world


def test_a_buyer_pays_more_than_the_quote_and_the_fee(world: PaperWorld) -> None:
    order = world.venue().place(asked(world.journal))
    (fill,) = world.journal.fills("paper")
    assert (order.status, order.reason, order.updated_at) == (OrderStatus.FILLED, "", NOON + HOUR)
    assert (fill.price, fill.quantity) == (Decimal("10003.0"), Decimal("0.01"))
    assert (fill.fee, fill.fee_asset) == (Decimal("0.4001200"), "USDT")
    assert world.journal.balances("paper")["USDT"] == Decimal(1000) - Decimal("100.03") - Decimal("0.40012")


def test_a_seller_gets_less_than_the_quote(world: PaperWorld) -> None:
    world.quotes.prices[BTC] = 10_000.06
    world.venue().place(asked(world.journal, side=Side.SELL))
    assert world.journal.fills("paper")[0].price == Decimal("9997.0")


def test_without_a_next_price_the_order_waits_and_is_settled_later(world: PaperWorld) -> None:
    world.quotes.there = False
    venue, wanted = world.venue(), asked(world.journal)
    answer = venue.place(wanted)
    assert (answer.status, answer.reason) == (OrderStatus.ACCEPTED, "waits for the next candle's open")
    assert venue.settle("paper") == [answer]
    world.quotes.there = True
    assert [each.status for each in venue.settle("paper")] == [OrderStatus.FILLED]
    assert venue.settle("paper") == []
    assert len(world.journal.fills("paper")) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": Decimal("0.00004")}, r"0\.00004 BTC is below the minimum of 0\.00005"),
        ({"quantity": Decimal("0.0001")}, r"cost 1\.000\d+ USDT is below the minimum of 5$"),
        ({"quantity": Decimal("0.010000005")}, r"0\.010000005 is not a multiple of 0\.00000001"),
        ({"quantity": Decimal("0.2")}, r"needs .* USDT, the account has 1000"),
        ({"quantity": Decimal("0.06"), "side": Side.SELL}, r"needs 0\.06 BTC, the account has 0\.05"),
        ({"pair": Pair("NOT", "THERE")}, "does not trade NOT/THERE"),
    ],
)
def test_a_rejection_has_its_numbers(world: PaperWorld, changes: dict[str, Any], reason: str) -> None:
    order = world.venue().place(asked(world.journal, **changes))
    assert order.status is OrderStatus.REJECTED
    assert re.search(reason, order.reason)


@pytest.mark.parametrize("status", [each for each in PairStatus if each is not PairStatus.ONLINE])
def test_what_is_not_online_is_named_in_the_rejection(world: PaperWorld, status: PairStatus) -> None:
    world.restrict(BTC, status)
    order = world.venue().place(asked(world.journal))
    assert (order.status, status.value in order.reason) == (OrderStatus.REJECTED, True)


def test_a_pair_that_only_reduces_takes_the_order_that_closes(world: PaperWorld) -> None:
    world.restrict(BTC, PairStatus.REDUCE_ONLY)
    order = world.venue().place(asked(world.journal, side=Side.SELL, reduces=True))
    assert order.status is OrderStatus.FILLED


@pytest.mark.parametrize("price", [float("nan"), 0.0, float("inf")])
def test_an_impossible_quote_fills_nothing(world: PaperWorld, price: float) -> None:
    world.quotes.prices[BTC] = price
    with pytest.raises(InvalidValue, match="quotes"):
        world.venue().place(asked(world.journal))
    assert world.journal.balances("paper") == OPENING


@settings(max_examples=100, deadline=None)
@given(
    st.floats(1e-6, 1e6),
    st.sampled_from(Side),
    st.sampled_from([Decimal("0.1"), Decimal("0.00001"), Decimal("0.00000001")]),
)
def test_rounding_never_favours_the_trader_and_moves_less_than_one_increment(
    price: float, side: Side, increment: Decimal
) -> None:
    rounded = rounded_against(price, side, increment)
    exact = Decimal(format(price, ".15g"))
    assert rounded % increment == 0
    assert 0 <= side.sign * (rounded - exact) < increment


def test_a_price_on_the_grid_is_not_moved_by_the_noise_of_a_double() -> None:
    assert rounded_against(0.1 + 0.2, Side.BUY, Decimal("0.1")) == Decimal("0.3")
