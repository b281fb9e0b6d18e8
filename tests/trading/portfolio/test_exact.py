from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.portfolio.exact import divide, exactly, pro_rata, trim_zeros

AMOUNTS = st.decimals(-(10**9), 10**9, places=20)
QUANTITIES = st.decimals("0.00000001", 10**6, places=8)


@given(AMOUNTS, QUANTITIES, QUANTITIES)
def test_the_parts_of_a_split_lie_within_a_place_of_their_share_and_add_up(
    amount: Decimal, one: Decimal, other: Decimal
) -> None:
    with exactly():
        whole = one + other
        taken = pro_rata(amount, one, whole)
        assert abs(taken * whole - amount * one) <= whole * Decimal("1e-30")
        assert taken + (amount - taken) == amount


@given(AMOUNTS, QUANTITIES)
def test_the_whole_takes_everything(amount: Decimal, whole: Decimal) -> None:
    assert pro_rata(amount, whole, whole) == amount


def test_a_sum_that_would_round_is_refused() -> None:
    with pytest.raises(InvalidValue, match="more than 160 digits"), exactly():
        assert Decimal("1e100") + Decimal("1e-100")


def test_a_quotient_has_fifty_digits() -> None:
    assert divide(Decimal(2), Decimal(3)) == Decimal("0." + "6" * 49 + "7")


@pytest.mark.parametrize(
    ("amount", "text"),
    [("5.000", "5"), ("1.50", "1.5"), ("100", "100"), ("1E+2", "100"), ("0E-30", "0"), ("-0.10", "-0.1")],
)
def test_trimming_changes_the_writing_not_the_number(amount: str, text: str) -> None:
    assert str(trim_zeros(Decimal(amount))) == text
    assert trim_zeros(Decimal(amount)) == Decimal(amount)
