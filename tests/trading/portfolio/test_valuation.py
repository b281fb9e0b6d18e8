from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.triangle_fills import BTC_USDT, XRP_USDT, any_prices
from trading.errors import InvalidValue
from trading.market import Pair
from trading.portfolio.valuation import allocation, drawdown, equity

AMOUNTS = st.decimals(0, 10**6, places=8)
BALANCES = st.fixed_dictionaries(dict.fromkeys(("BTC", "USDT", "XRP"), AMOUNTS))
ROUNDING = Decimal("1e-25")  # of the default 28 digits that these tests themselves compute with


@given(BALANCES, any_prices())
def test_equity_in_bitcoin_times_its_price_is_equity_in_dollars(
    balances: dict[str, Decimal], prices: dict[Pair, Decimal]
) -> None:
    known = {pair: prices[pair] for pair in (BTC_USDT, XRP_USDT)}  # a cross rate of its own could disagree
    in_dollars = equity(balances, "USDT", known)
    assert abs(equity(balances, "BTC", known) * known[BTC_USDT] - in_dollars) <= ROUNDING * in_dollars


@given(BALANCES, any_prices(), st.sampled_from(["BTC", "USDT", "XRP"]))
def test_an_allocation_adds_up_to_exactly_one_unless_there_is_nothing(
    balances: dict[str, Decimal], prices: dict[Pair, Decimal], quote: str
) -> None:
    shares = allocation(balances, quote, prices)
    assert sum(shares.values()) == (1 if any(balances.values()) else 0)
    assert all(0 <= share <= 1 for share in shares.values())


@given(BALANCES.filter(lambda balances: any(balances.values())), any_prices())
def test_a_share_is_the_value_over_the_equity_to_twelve_places(
    balances: dict[str, Decimal], prices: dict[Pair, Decimal]
) -> None:
    total = equity(balances, "USDT", prices)
    for asset, share in allocation(balances, "USDT", prices).items():
        exact = equity({asset: balances[asset]}, "USDT", prices) / total
        assert abs(share - exact) < Decimal("1e-12")


def test_three_equal_parts_differ_in_the_last_place_alone() -> None:
    prices = {BTC_USDT: Decimal(1), XRP_USDT: Decimal(1)}
    shares = allocation({"XRP": Decimal(1), "USDT": Decimal(1), "BTC": Decimal(1)}, "USDT", prices)
    assert sorted(shares.items()) == [
        ("BTC", Decimal("0.333333333334")), ("USDT", Decimal("0.333333333333")), ("XRP", Decimal("0.333333333333")),
    ]  # fmt: skip


@pytest.mark.parametrize("balances", [{}, {"USDT": Decimal(0)}, {"USDT": Decimal(-5)}])
def test_where_there_is_no_equity_all_shares_are_zero(balances: dict[str, Decimal]) -> None:
    assert allocation(balances, "USDT", {}) == dict.fromkeys(balances, Decimal(0))


def test_a_debt_is_a_negative_share_and_the_rest_still_adds_up() -> None:
    shares = allocation({"BTC": Decimal(3), "USDT": Decimal(-2)}, "USDT", {BTC_USDT: Decimal(1)})
    assert shares == {"BTC": Decimal(3), "USDT": Decimal(-2)}


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_a_balance_that_is_no_number_is_named(amount: str) -> None:
    with pytest.raises(InvalidValue, match="balance of USDT is"):
        equity({"USDT": Decimal(amount)}, "USDT", {})


def test_large_and_tiny_amounts_are_added_without_rounding() -> None:
    balances = {"USDT": Decimal("1e20"), "BTC": Decimal("1e-8")}
    assert equity(balances, "USDT", {BTC_USDT: Decimal("2e-8")}) == Decimal(
        "100000000000000000000.0000000000000002"
    )


def test_an_amount_beyond_all_measure_is_refused_instead_of_rounded() -> None:
    with pytest.raises(InvalidValue, match="more than 160 digits"):
        equity({"USDT": Decimal(1), "BTC": Decimal("1e-200")}, "USDT", {BTC_USDT: Decimal(1)})


@pytest.mark.parametrize(
    ("value", "peak", "lost"), [("90", "100", "0.1"), ("100", "100", "0"), ("110", "100", "0"), ("-10", "100", "1.1")]
)  # fmt: skip
def test_a_drawdown_is_the_lost_share_of_the_peak(value: str, peak: str, lost: str) -> None:
    assert drawdown(Decimal(value), Decimal(peak)) == Decimal(lost)


def test_an_account_that_never_had_anything_lost_nothing() -> None:
    assert drawdown(Decimal(0), Decimal(0)) == 0
