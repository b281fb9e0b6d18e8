from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.triangle_fills import BTC_USDT, XRP_BTC, XRP_USDT, any_prices
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.portfolio.rates import conversion_path, rate

ASSETS = ("BTC", "XRP", "USDT")


def test_without_a_pair_of_its_own_an_asset_is_priced_through_another() -> None:
    prices = {BTC_USDT: Decimal(50_000), XRP_BTC: Decimal("0.00002")}
    assert rate("XRP", "USDT", prices) == 1


def test_a_path_may_read_one_pair_forwards_and_the_next_inverted() -> None:
    prices = {BTC_USDT: Decimal(50_000), XRP_USDT: Decimal("0.5")}
    assert rate("XRP", "BTC", prices) == Decimal("0.00001")


def test_a_direct_pair_is_preferred_to_its_inverse_and_to_any_detour() -> None:
    prices = {Pair("USDT", "XRP"): Decimal(4), XRP_USDT: Decimal("0.5"), BTC_USDT: Decimal(50_000),
              XRP_BTC: Decimal(1)}  # fmt: skip
    assert rate("XRP", "USDT", prices) == Decimal("0.5")


def test_the_shortest_path_is_taken_even_where_a_longer_one_comes_first_in_the_alphabet() -> None:
    pairs = [
        Pair("XRP", "AAA"), Pair("AAA", "BBB"), Pair("BBB", "USDT"), Pair("XRP", "ZZZ"), Pair("ZZZ", "USDT"),
    ]  # fmt: skip
    assert conversion_path("XRP", "USDT", pairs) == ("XRP", "ZZZ", "USDT")


@given(st.permutations([Pair("XRP", "BTC"), Pair("XRP", "ETH"), Pair("USDT", "ETH"), Pair("BTC", "USDT")]))
def test_of_equally_short_paths_the_first_in_the_alphabet_is_taken_in_whatever_order_pairs_come(
    pairs: list[Pair],
) -> None:
    assert conversion_path("XRP", "USDT", pairs) == ("XRP", "BTC", "USDT")


@given(any_prices(), st.sampled_from(ASSETS), st.sampled_from(ASSETS))
def test_a_rate_there_and_back_is_one(prices: dict[Pair, Decimal], asset: str, quote: str) -> None:
    there_and_back = rate(asset, quote, prices) * rate(quote, asset, prices)
    assert abs(there_and_back - 1) < Decimal("1e-26")


def test_the_precision_of_the_caller_changes_no_rate() -> None:
    prices = {XRP_USDT: Decimal("0.3")}
    with localcontext() as context:
        context.prec = 3
        short = rate("USDT", "XRP", prices)
    assert short == rate("USDT", "XRP", prices)
    assert len(short.as_tuple().digits) == 50


def test_what_cannot_be_reached_is_named_with_the_pairs_that_are_known() -> None:
    with pytest.raises(NotStored, match="no price joins ETH and USDT: known pairs are BTC/USDT, XRP/USDT"):
        rate("ETH", "USDT", {XRP_USDT: Decimal(1), BTC_USDT: Decimal(1)})


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "sNaN", "Infinity"])
@pytest.mark.parametrize(("asset", "quote"), [("BTC", "USDT"), ("USDT", "BTC")])
def test_an_impossible_price_is_named_instead_of_used(price: str, asset: str, quote: str) -> None:
    with pytest.raises(InvalidValue, match="price of BTC/USDT is"):
        rate(asset, quote, {BTC_USDT: Decimal(price)})


def test_an_impossible_price_beside_the_path_harms_nobody() -> None:
    assert rate("BTC", "USDT", {BTC_USDT: Decimal(2), XRP_USDT: Decimal("NaN")}) == 2
