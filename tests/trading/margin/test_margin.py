from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.margin import arithmetic as margin

AMOUNTS = st.decimals("0.001", 10**6, places=3)
QUANTITIES = st.one_of(AMOUNTS, AMOUNTS.map(lambda quantity: -quantity))
LEVERAGES = st.decimals(1, 5, places=1)
LEVELS = st.sampled_from([Decimal("0.4"), Decimal("0.8"), Decimal(1)])
FUNCTIONS = {
    "opening_cost": (1000.0, 0.0002), "rollover_cost": (1000.0, 0.0002, 18),
    "rollover_periods": (0, 74 * 3_600_000_000, 4 * 3_600_000_000),
    "used_margin": (-0.2, 50_000.0, 65_200.0, 5.0), "margin_level": (1960.0, 2608.0),
    "liquidation_price": (15_000.0, -0.2, 50_000.0, 5.0, 0.4),
}  # fmt: skip


def level_at(price: Decimal, cash: Decimal, quantity: Decimal, entry: Decimal, leverage: Decimal) -> Decimal:
    used = margin.used_margin(quantity, entry, price, leverage)
    return margin.margin_level(cash + quantity * price, used)


def test_kraken_s_long_example_is_called_at_13200() -> None:
    """1 BTC bought at 20,000 with 5:1 on a balance of 10,000: article 203325763."""
    price = margin.liquidation_price(10_000.0 - 20_000.0, 1.0, 20_000.0, 5.0, 0.8)
    assert price == pytest.approx(13_200)


def test_kraken_s_second_long_example_is_called_at_a_fall_of_6_22_percent() -> None:
    """1.5 BTC at 30,000 with 5:1 on a balance of 10,000: article 203325763."""
    price = margin.liquidation_price(10_000.0 - 45_000.0, 1.5, 30_000.0, 5.0, 0.8)
    assert price == pytest.approx(28_133.3, abs=0.1)


def test_kraken_s_short_example_stands_at_75_percent() -> None:
    """0.2 BTC sold at 50,000 with 5:1 on a balance of 5,000; its margin is 0.04 BTC: article 203053156."""
    cash, quantity, entry, leverage = (Decimal(each) for each in ("15000", "-0.2", "50000", "5"))
    assert margin.used_margin(quantity, entry, entry, leverage) == 2000
    assert level_at(entry, cash, quantity, entry, leverage) == Decimal("2.5")
    assert round(level_at(Decimal(65_200), cash, quantity, entry, leverage), 2) == Decimal("0.75")


def test_a_position_of_74_hours_has_been_rolled_over_18_times() -> None:
    hour = 3_600_000_000
    assert margin.rollover_periods(5, 5 + 74 * hour, 4 * hour) == 18


@pytest.mark.parametrize(("after", "periods"), [(-1, 0), (0, 0), (3, 0), (4, 1), (7, 1), (8, 2)])
def test_a_rollover_is_due_when_a_whole_period_has_passed(after: int, periods: int) -> None:
    assert margin.rollover_periods(100, 100 + after, 4) == periods


def test_fees_are_shares_of_the_value() -> None:
    assert margin.opening_cost(Decimal(10_000), Decimal("0.0001")) == 1
    assert margin.rollover_cost(Decimal(10_000), Decimal("0.0001"), 18) == 18


@given(AMOUNTS, QUANTITIES, AMOUNTS, LEVERAGES, LEVELS)
def test_at_the_liquidation_price_equity_over_used_margin_is_the_level(
    balance: Decimal, quantity: Decimal, entry: Decimal, leverage: Decimal, level: Decimal
) -> None:
    cash = balance - quantity * entry
    price = margin.liquidation_price(cash, quantity, entry, leverage, level)
    if price > 0:
        used = margin.used_margin(quantity, entry, price, leverage)
        assert abs(cash + quantity * price - level * used) <= Decimal("1e-20") * (abs(cash) + used)


@given(AMOUNTS, QUANTITIES, AMOUNTS, LEVERAGES, LEVELS, st.decimals("0.01", "0.99", places=2))
def test_on_the_losing_side_of_the_liquidation_price_the_level_is_lower(
    balance: Decimal, quantity: Decimal, entry: Decimal, leverage: Decimal, level: Decimal, move: Decimal
) -> None:
    cash = balance - quantity * entry
    price = margin.liquidation_price(cash, quantity, entry, leverage, level)
    if price > 0:
        worse, better = (price * move, price / move) if quantity > 0 else (price / move, price * move)
        assert level_at(worse, cash, quantity, entry, leverage) < level
        assert level_at(better, cash, quantity, entry, leverage) > level


@given(QUANTITIES, AMOUNTS, LEVERAGES, LEVELS)
def test_the_liquidation_level_is_reached_later_than_the_call(
    quantity: Decimal, entry: Decimal, leverage: Decimal, level: Decimal
) -> None:
    cash = abs(quantity) * entry / leverage - quantity * entry  # opened at a level of exactly 100 %
    price = margin.liquidation_price(cash, quantity, entry, leverage, level)
    lower = margin.liquidation_price(cash, quantity, entry, leverage, level / 2)
    assert (lower < price or lower == price == 0) if quantity > 0 else lower > price


def test_a_long_that_was_paid_for_in_full_has_no_liquidation_price_above_zero() -> None:
    assert margin.liquidation_price(1000.0, 1.0, 100.0, 3.0, 0.4) == 0


def test_a_short_without_money_behind_it_is_liquidated_at_every_price() -> None:
    assert margin.liquidation_price(-1.0, -1.0, 100.0, 3.0, 0.4) == 0


def test_without_a_position_there_is_no_liquidation_price_and_no_level() -> None:
    assert margin.liquidation_price(1000.0, 0.0, 100.0, 3.0, 0.4) == 0
    with pytest.raises(ZeroDivisionError):
        margin.margin_level(Decimal(1000), Decimal(0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_decimals_give_what_doubles_give(name: str) -> None:
    function, numbers = getattr(margin, name), FUNCTIONS[name]
    exact = function(*[Decimal(str(each)) if isinstance(each, float) else each for each in numbers])
    assert float(exact) == pytest.approx(function(*numbers), rel=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_code_gives_the_same_bits(name: str) -> None:
    import numba

    function, numbers = getattr(margin, name), FUNCTIONS[name]
    assert numba.njit(function)(*numbers) == function(*numbers)
