"""Counting in increments: the quick way for doubles gives what exact arithmetic gives, and refuses what it refuses."""

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.market.increments import MAX_INCREMENTS, Increments
from trading.errors import InvalidValue

STEPS = st.sampled_from(["0.1", "0.5", "0.00001", "0.00000001", "25", "1", "1e-12", "3e-7"]).map(Decimal)
EXACT = Context(prec=400, Emin=-10_000, Emax=10_000)


def nearest(amount: float, step: Decimal) -> int:
    return int(EXACT.divide(Decimal(repr(amount)), step).to_integral_value(ROUND_HALF_EVEN, EXACT))


@given(st.floats(0, 1e9), STEPS)
def test_a_double_counts_as_its_decimals_do(amount: float, step: Decimal) -> None:
    if amount <= step * MAX_INCREMENTS:
        assert Increments(step, "price").nearest(amount) == nearest(amount, step)


@given(st.integers(0, 2**44), STEPS, st.integers(-3, 3))
def test_doubles_beside_the_middle_between_two_counts_go_to_the_right_one(
    count: int, step: Decimal, steps: int
) -> None:
    amount = float((count + Decimal("0.5")) * step)
    for _ in range(abs(steps)):
        amount = math.nextafter(amount, math.copysign(math.inf, steps))
    assert Increments(step, "price").nearest(amount) == nearest(amount, step)


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf, -1e-9, -1.0, 1e30])
def test_a_double_that_is_no_amount_is_refused(amount: float) -> None:
    with pytest.raises(InvalidValue, match="price"):
        Increments(Decimal("0.1"), "price").nearest(amount)


def test_increments_below_the_smallest_double_are_counted_exactly() -> None:
    assert Increments(Decimal("3e-324"), "price").nearest(3e-322) == 100
