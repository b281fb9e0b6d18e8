"""An invalidation closes its position on the candle that fulfils it, and does nothing else."""

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.risk.test_protection import HOUR, OPENED, candles, mirrored, position
from trading.errors import InvalidValue
from trading.invalidation import Invalidation, InvalidationKind, broken_by_features
from trading.orders import OrderIntent, Side
from trading.portfolio import Position, with_protection
from trading.risk.protection import advance, walk
from trading.stores.order_rules import check_intent

LEVEL = Invalidation(InvalidationKind.LEVEL, "trader-a", level=Decimal(99))
TIME = Invalidation(InvalidationKind.TIME, "trader-a", at=OPENED + 2 * HOUR)
RSI = Invalidation(InvalidationKind.INDICATOR, "trader-a", indicator="rsi_14", above=False, value=0.4)
CALM = (99.5, 101.0, 100.0)


def held(*invalidations: Invalidation, **changes: Any) -> Position:
    return replace(position(**changes), invalidations=invalidations)


def test_a_close_at_the_level_closes_and_a_touch_alone_does_not() -> None:
    assert advance(held(LEVEL), candles((98.5, 101, 99.5))).exit_reason == ""
    closed = advance(held(LEVEL), candles(CALM, (98.5, 101, 99.0), CALM))
    assert closed.exit_reason == "invalidated (trader-a): closed at 99, at or below 99"
    assert closed.checked_until == OPENED + 2 * HOUR


def test_of_a_short_the_level_lies_above() -> None:
    level = Invalidation(InvalidationKind.LEVEL, "trader-a", level=Decimal(101))
    short = held(level, quantity=-1, stop="102", target="90")
    assert advance(short, mirrored((98.5, 101, 99.5))).exit_reason == ""
    assert advance(short, mirrored((98.5, 101, 98.9))).exit_reason.endswith(
        "closed at 101.1, at or above 101"
    )


def test_the_first_candle_that_closes_at_the_time_or_later_closes() -> None:
    walked = list(walk(held(TIME), candles(CALM, CALM, CALM)))
    assert [bool(each.exit_reason) for each in walked] == [False, True]
    assert walked[-1].exit_reason == "invalidated (trader-a): not later than 2024-05-06 14:00 UTC"


def test_a_touched_stop_is_named_before_a_broken_level() -> None:
    assert advance(held(LEVEL), candles((97, 101, 97.5)), resting=False).exit_reason.startswith("stop-loss")


def test_candles_in_two_portions_lead_to_the_same_as_all_at_once() -> None:
    table = candles(CALM, CALM, (98.5, 101, 98.9))
    for at in range(4):
        parts = advance(advance(held(LEVEL), table[:at]), table[at:])
        assert parts == advance(held(LEVEL), table)


@pytest.mark.parametrize(
    ("value", "closes"), [(0.39, True), (0.4, False), (0.41, False), (None, False), (math.nan, False)]
)
def test_an_indicator_closes_on_its_side_of_the_value_and_not_while_it_is_unknown(
    value: float | None, closes: bool
) -> None:
    assert bool(broken_by_features([RSI], {"rsi_14": value})) is closes
    above = replace(RSI, above=True)
    assert bool(broken_by_features([above], {"rsi_14": value})) is (value == 0.41)


def test_an_indicator_that_is_not_there_says_nothing() -> None:
    assert broken_by_features([RSI, LEVEL, TIME], {}) == ""


@pytest.mark.parametrize(
    "values",
    [
        {"kind": InvalidationKind.LEVEL},
        {"kind": InvalidationKind.LEVEL, "level": Decimal("nan")},
        {"kind": InvalidationKind.LEVEL, "level": Decimal(0)},
        {"kind": InvalidationKind.INDICATOR, "indicator": "rsi_14"},
        {"kind": InvalidationKind.INDICATOR, "indicator": "rsi_14", "value": math.inf},
        {"kind": InvalidationKind.INDICATOR, "value": 1.0},
        {"kind": InvalidationKind.TIME},
        {"kind": InvalidationKind.TIME, "at": OPENED.replace(tzinfo=None)},
    ],
)
def test_a_condition_without_its_own_value_cannot_be_made(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="without its own value"):
        Invalidation(by="trader-a", **values)


def test_what_is_stored_of_a_position_stays_whoever_looks() -> None:
    assert with_protection(held(LEVEL), held(TIME)).invalidations == (LEVEL,)


def test_only_an_entry_may_carry_one() -> None:
    entry = OrderIntent(
        intent_id="1", decision_id="1", account="a", pair=position().pair, side=Side.SELL, quantity=Decimal(1),
        reduces=False, stop_loss=None, take_profit=None, created_at=OPENED, invalidations=(LEVEL,),
    )  # fmt: skip
    check_intent(entry)
    for changes in ({"reduces": True}, {"reduces": True, "trigger": Decimal(1)}, {"converts": True}):
        with pytest.raises(InvalidValue, match="only an entry"):
            check_intent(replace(entry, **changes))


PRICES = st.floats(90, 110).map(lambda price: (price - 0.5, price + 0.5, price))
ANY = st.one_of(
    st.integers(1, 200).map(lambda level: Invalidation(InvalidationKind.LEVEL, "t", level=Decimal(level))),
    st.integers(-5, 30).map(
        lambda hours: Invalidation(InvalidationKind.TIME, "t", at=OPENED + timedelta(hours=hours))
    ),
    st.just(RSI),
)


@given(prices=st.lists(PRICES, max_size=8), conditions=st.lists(ANY, max_size=3), long=st.booleans())
def test_whatever_the_conditions_they_only_ever_give_a_reason_to_close(
    prices: list[tuple[float, float, float]], conditions: list[Invalidation], long: bool
) -> None:
    """Until then the position is what it would be without them; quantity, price and levels never change by them."""
    plain = position() if long else position(-1, stop="102", target="90")
    table = candles(*prices)
    with_them = list(walk(replace(plain, invalidations=tuple(conditions)), table))
    without = list(walk(plain, table))
    assert len(with_them) <= len(without)
    for mine, other in zip(with_them, without, strict=False):
        if mine.exit_reason.startswith("invalidated"):
            mine = replace(mine, exit_reason="")
        assert replace(mine, invalidations=()) == other
