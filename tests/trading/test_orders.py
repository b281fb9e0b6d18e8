"""Orders and fills: rounding never gives more than allowed, prices are always the worse side."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.fills import Costs, execution_price
from trading.orders import OrderStatus, Side, round_down, round_price

AMOUNTS = st.decimals(0, 10**9, places=10)
INCREMENTS = st.sampled_from(["0.00000001", "0.0001", "0.1", "1", "5", "0.3"]).map(Decimal)
COSTS = Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0004)
SHARES = st.floats(0, 0.0999)


def test_a_buy_adds_and_a_sale_takes_away() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


def test_an_unknown_outcome_is_a_state_of_its_own() -> None:
    states = {status.value for status in OrderStatus}
    assert OrderStatus.UNKNOWN.value in states


@given(AMOUNTS, INCREMENTS)
def test_rounding_down_gives_the_largest_multiple_that_is_allowed(
    amount: Decimal, increment: Decimal
) -> None:
    rounded = round_down(amount, increment)
    assert rounded % increment == 0
    assert rounded <= amount < rounded + increment


@given(AMOUNTS, INCREMENTS)
def test_rounding_down_a_sale_shrinks_it_too(amount: Decimal, increment: Decimal) -> None:
    assert round_down(-amount, increment) == -round_down(amount, increment)


@given(AMOUNTS, INCREMENTS)
def test_rounding_twice_changes_nothing(amount: Decimal, increment: Decimal) -> None:
    once = round_down(amount, increment)
    assert round_down(once, increment) == once
    price = round_price(amount, increment)
    assert round_price(price, increment) == price


@given(AMOUNTS, INCREMENTS)
def test_a_rounded_price_is_a_multiple_at_most_half_an_increment_away(
    price: Decimal, increment: Decimal
) -> None:
    rounded = round_price(price, increment)
    assert rounded % increment == 0
    assert abs(rounded - price) * 2 <= increment


def test_a_price_half_way_goes_to_the_even_multiple() -> None:
    assert round_price(Decimal("0.25"), Decimal("0.1")) == Decimal("0.2")
    assert round_price(Decimal("0.35"), Decimal("0.1")) == Decimal("0.4")


def test_one_fill_costs_fee_spread_and_slippage() -> None:
    assert COSTS.per_side == pytest.approx(0.0031)


def test_a_buy_pays_more_and_a_sale_gets_less_than_the_venue_s_price() -> None:
    assert execution_price(100.0, 1.0, COSTS) == pytest.approx(100.05)
    assert execution_price(100.0, -1.0, COSTS) == pytest.approx(99.95)


@given(st.floats(1e-8, 1e6), SHARES, SHARES, SHARES)
def test_no_execution_price_is_better_than_the_reference(
    reference: float, fee: float, spread: float, slippage: float
) -> None:
    costs = Costs(fee, spread, slippage)
    assert execution_price(reference, 1.0, costs) >= reference >= execution_price(reference, -1.0, costs) > 0


def test_arrays_and_single_prices_are_executed_alike() -> None:
    references, signs = np.array([2e-8, 1.0, 60_000.0]), np.array([1.0, -1.0, 1.0])
    assert execution_price(references, signs, COSTS).tolist() == [
        execution_price(float(reference), float(sign), COSTS)
        for reference, sign in zip(references, signs, strict=True)
    ]


@pytest.mark.parametrize("name", ["taker_fee", "half_spread", "slippage"])
@pytest.mark.parametrize("value", [-0.001, 0.1, float("nan"), float("inf")])
def test_an_impossible_cost_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is {value}: allowed is a share from 0 to 0.1"):
        replace(COSTS, **{name: value})
