"""The levels of a position follow the price at which it was filled, and what reduces never opens or turns it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market import Pair
from trading.orders import Fill, OrderIntent, Side
from trading.portfolio import Position, after_fill, excess

BTC = Pair("BTC", "USDT")
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
PRICES = st.decimals("90", "110", places=2)
QUANTITIES = st.decimals("0.001", "2", places=3)


def entry(side: Side = Side.BUY, **changes: Any) -> OrderIntent:
    """Decided at 100: stop 2 away, target 6 away, trailing from 3 away on."""
    sign = side.sign
    values: dict[str, Any] = {
        "intent_id": "entry", "decision_id": "decision", "account": "paper", "pair": BTC, "side": side,
        "quantity": Decimal(10), "reduces": False, "stop_loss": Decimal(100 - 2 * sign),
        "take_profit": Decimal(100 + 6 * sign), "created_at": NOON, "entry_price": Decimal(100),
        "trailing_after": Decimal(100 + 3 * sign), "trailing_distance": Decimal(2), **changes,
    }  # fmt: skip
    return OrderIntent(**values)


def closing(side: Side = Side.SELL) -> OrderIntent:
    levels = dict.fromkeys(["stop_loss", "take_profit", "entry_price", "trailing_after", "trailing_distance"])
    return entry(side, intent_id="exit", reduces=True, **levels)


def fill(price: str | Decimal, quantity: str | Decimal = "1", side: Side = Side.BUY, number: int = 1) -> Fill:
    at = NOON + timedelta(minutes=number)
    return Fill(
        f"f{number}", "entry", "paper", BTC, side, Decimal(price), Decimal(quantity), Decimal(0), "USDT", at
    )


def filled(intent: OrderIntent, *fills: Fill) -> Position:
    position: Position | None = None
    for number, each in enumerate(fills):
        position = after_fill(position, each, intent, fills[:number])
    assert position is not None
    return position


@pytest.mark.parametrize("price", ["101", "97.9", "98.5"])
@pytest.mark.parametrize("side", list(Side))
def test_the_distance_to_every_level_is_the_decided_one_wherever_it_was_filled(
    side: Side, price: str
) -> None:
    position = filled(entry(side), fill(price, side=side))
    sign = side.sign
    assert position.stop_loss is not None
    assert position.take_profit is not None
    assert position.trailing_after is not None
    assert sign * (position.entry_price - position.stop_loss) == 2
    assert sign * (position.take_profit - position.entry_price) == 6
    assert sign * (position.trailing_after - position.entry_price) == 3
    assert position.trailing_distance == 2


@given(st.lists(st.tuples(PRICES, QUANTITIES), min_size=1, max_size=6))
def test_parts_of_an_order_keep_the_levels_at_its_average_price(parts: list[tuple[Decimal, Decimal]]) -> None:
    fills = [fill(price, quantity, number=number) for number, (price, quantity) in enumerate(parts)]
    position = filled(entry(), *fills)
    assert position.stop_loss is not None
    assert position.take_profit is not None
    assert abs(position.entry_price - position.stop_loss - 2) < Decimal("1e-40")
    assert abs(position.take_profit - position.entry_price - 6) < Decimal("1e-40")
    assert position.opened_at == fills[0].filled_at


def test_an_intent_that_counted_with_no_price_keeps_its_levels() -> None:
    assert filled(entry(entry_price=None), fill("105")).stop_loss == 98


def test_a_stop_that_trailed_is_not_moved_back_by_a_later_part() -> None:
    first = fill("100")
    trailed = replace(filled(entry(), first), stop_loss=Decimal("103"), best_price=Decimal("105"))
    later = after_fill(trailed, fill("104", number=2), entry(), [first])
    assert later is not None
    assert (later.stop_loss, later.take_profit, later.best_price) == (103, 108, 105)


@pytest.mark.parametrize(("side", "closer"), [(Side.BUY, "105"), (Side.SELL, "95")])
def test_a_later_part_brings_a_stop_closer_where_its_own_price_does(side: Side, closer: str) -> None:
    first = fill("100", side=side)
    trailed = replace(filled(entry(side), first), stop_loss=Decimal(100) - side.sign * Decimal("1.5"))
    later = after_fill(trailed, fill(closer, side=side, number=2), entry(side), [first])
    assert later is not None
    assert later.stop_loss == Decimal(100) + side.sign * Decimal("0.5")


def test_another_order_brings_its_own_plan_and_forgets_what_was_seen() -> None:
    seen = replace(
        filled(entry(), fill("100")), best_price=Decimal(107), checked_until=NOON, exit_reason="target"
    )
    grown = after_fill(seen, fill("111", number=2), entry(entry_price=Decimal(110), stop_loss=Decimal(108)))
    assert grown is not None
    assert (grown.stop_loss, grown.entry_price, grown.quantity) == (109, Decimal("105.5"), 2)
    assert (grown.best_price, grown.checked_until, grown.exit_reason) == (None, None, "")
    assert grown.opened_at == NOON + timedelta(minutes=2)


@given(st.sampled_from(Side), st.sampled_from(Side), QUANTITIES, QUANTITIES)
def test_what_reduces_never_opens_turns_or_grows_a_position(
    side: Side, other: Side, held: Decimal, sold: Decimal
) -> None:
    position = filled(entry(side), fill("100", held, side))
    closed = fill("100", sold, other, number=2)
    left = after_fill(position, closed, closing(other))
    beyond = excess(position, closed, closing(other))
    if other is side:
        assert (left, beyond) == (position, sold)
    else:
        assert (abs(left.quantity) if left else 0) == max(held - sold, 0)
        assert beyond == max(sold - held, 0)
        assert left is None or (left.quantity > 0) == (position.quantity > 0)
    assert after_fill(None, closed, closing(other)) is None
    assert excess(None, closed, closing(other)) == sold
    assert excess(position, closed, entry(other)) == 0


@given(st.none() | QUANTITIES, st.sampled_from(Side), QUANTITIES)
def test_a_conversion_changes_no_position(held: Decimal | None, side: Side, quantity: Decimal) -> None:
    position = None if held is None else filled(entry(), fill("100", held))
    converting = entry(side, converts=True, intent_id="conversion")
    assert after_fill(position, fill("100", quantity, side, 2), converting) == position
    assert excess(position, fill("100", quantity, side, 2), converting) == 0
