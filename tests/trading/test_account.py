from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.account import Account, opening_balances, snapshot
from trading.errors import NotStored
from trading.market import Pair
from trading.portfolio import equity

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
PRICES = {BTC: Decimal(9677), XRP: Decimal("0.2739")}
ACCOUNT = Account("paper", "USDT", Decimal(2100), {"USDT": Decimal(1000), "XRP": Decimal(500)}, "BTC")
NOON = datetime(2020, 2, 21, 12, tzinfo=UTC)


def test_the_rest_asset_makes_up_what_is_missing_to_the_total() -> None:
    opened = opening_balances(ACCOUNT, PRICES)
    assert opened["USDT"] == 1000
    assert opened["XRP"] == 500
    assert equity(opened, "USDT", PRICES) == pytest.approx(Decimal(2100), abs=Decimal("0.0001"))


@given(st.decimals("0.01", "100000", places=2), st.decimals("0.0001", "10", places=4))
def test_the_opening_is_worth_the_total_at_any_price(bitcoin: Decimal, ripple: Decimal) -> None:
    opened = opening_balances(ACCOUNT, {BTC: bitcoin, XRP: ripple})
    worth = equity(opened, "USDT", {BTC: bitcoin, XRP: ripple})
    fixed = 1000 + 500 * ripple
    assert abs(worth - max(Decimal(2100), fixed)) <= bitcoin * Decimal("1e-8")


def test_fixed_balances_above_the_total_are_kept_and_nothing_is_borrowed() -> None:
    opened = opening_balances(ACCOUNT, PRICES | {XRP: Decimal(100)})
    assert opened["BTC"] == 0


def test_without_a_price_for_the_rest_asset_nothing_is_opened() -> None:
    with pytest.raises(NotStored, match="no price joins"):
        opening_balances(ACCOUNT, {XRP: Decimal(1)})


def at(history: list[dict[str, object]], when: datetime, usdt: int) -> dict[str, object]:
    return snapshot(history, when, {"USDT": Decimal(usdt)}, "USDT", PRICES)


def test_the_first_day_opens_with_its_own_first_value() -> None:
    first = at([], NOON, 2100)
    assert (first["opening_equity"], first["peak_equity"], first["day"]) == (2100, 2100, date(2020, 2, 21))


def test_later_on_the_same_day_the_opening_stays_and_the_peak_only_rises() -> None:
    morning = at([], NOON, 2100)
    evening = at([morning], NOON + timedelta(hours=8), 1900)
    assert (evening["opening_equity"], evening["peak_equity"], evening["equity"]) == (2100, 2100, 1900)


def test_the_next_day_opens_with_the_newest_equity_before_it() -> None:
    history = [at([], NOON - timedelta(days=2), 2300), at([], NOON - timedelta(days=1), 2000)]
    today = at(history, NOON, 1990)
    assert (today["opening_equity"], today["peak_equity"]) == (2000, 2300)


def test_what_happened_later_is_not_part_of_an_earlier_days_peak() -> None:
    tomorrow = at([], NOON + timedelta(days=1), 9000)
    assert at([tomorrow], NOON, 2000)["peak_equity"] == 2000


def test_the_allocation_adds_up_to_one() -> None:
    now = snapshot([], NOON, opening_balances(ACCOUNT, PRICES), "USDT", PRICES)
    assert sum(now["allocation"].values()) == pytest.approx(1)


def test_an_empty_account_has_no_allocation_instead_of_a_division_by_zero() -> None:
    assert snapshot([], NOON, {"USDT": Decimal(0)}, "USDT", PRICES)["allocation"] == {"USDT": 0.0}
