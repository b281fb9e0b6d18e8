from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading import triangle_fills as triangle
from trading.account import (
    Account,
    EquityChange,
    equity_change,
    opening_balances,
    portfolio_of,
    snapshot,
    with_results,
)
from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill, Side
from trading.portfolio import Portfolio, equity
from trading.portfolio.exact import exactly

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


def at(
    history: list[dict[str, object]], when: datetime, usdt: int, midnight: Decimal | None = None
) -> dict[str, object]:
    return snapshot(history, when, {"USDT": Decimal(usdt)}, "USDT", PRICES, midnight)


def test_the_first_day_opens_with_its_own_first_value() -> None:
    first = at([], NOON, 2100)
    assert (first["opening_equity"], first["peak_equity"], first["day"]) == (2100, 2100, date(2020, 2, 21))


def test_later_on_the_same_day_the_opening_stays_and_the_peak_only_rises() -> None:
    morning = at([], NOON, 2100)
    evening = at([morning], NOON + timedelta(hours=8), 1900)
    assert (evening["opening_equity"], evening["peak_equity"], evening["equity"]) == (2100, 2100, 1900)


def test_a_day_opens_with_the_equity_of_its_midnight_whatever_earlier_snapshots_say() -> None:
    days_ago, today = at([], NOON - timedelta(days=5), 2000), at([], NOON, 2050)
    assert at([days_ago, today], NOON, 2110, Decimal(2200))["opening_equity"] == 2200


def test_a_midnight_that_nobody_can_value_is_replaced_by_the_newest_equity_before_it() -> None:
    history = [at([], NOON - timedelta(days=2), 2300), at([], NOON - timedelta(days=1), 2000)]
    today = at(history, NOON, 1990)
    assert (today["opening_equity"], today["peak_equity"]) == (2000, 2300)


def test_what_happened_later_is_not_part_of_an_earlier_days_peak() -> None:
    tomorrow = at([], NOON + timedelta(days=1), 9000)
    assert at([tomorrow], NOON, 2000)["peak_equity"] == 2000


def test_the_allocation_adds_up_to_one() -> None:
    now = snapshot([], NOON, opening_balances(ACCOUNT, PRICES), "USDT", PRICES, None)
    assert sum(now["allocation"].values()) == pytest.approx(1)


def test_an_empty_account_has_no_allocation_instead_of_a_division_by_zero() -> None:
    assert snapshot([], NOON, {"USDT": Decimal(0)}, "USDT", PRICES, None)["allocation"] == {"USDT": 0.0}


@given(triangle.fills())
def test_the_opening_is_found_again_from_balances_and_fills(fills: list[Fill]) -> None:
    led_to = Portfolio.of(triangle.RICH, fills).balances
    found = portfolio_of(led_to, fills)
    assert found.opening == triangle.RICH
    assert found.balances == led_to


TRADES = [
    triangle.fill(0, BTC, Side.BUY, "0.02", "9000", "0.5"),
    triangle.fill(1, BTC, Side.SELL, "0.01", "9500", "0.25"),
    triangle.fill(2, BTC, Side.SELL, "0.01", "8000", "0.25"),
]
TAKEN = triangle.START + triangle.HOUR  # the second fill is in, the third is not


def taken() -> dict[str, object]:
    balances = Portfolio.of({"USDT": Decimal(1000)}, TRADES[:2]).balances
    return with_results(snapshot([], TAKEN, balances, "USDT", PRICES, None), TRADES, PRICES, Decimal(1000))


def test_results_are_those_of_the_fills_known_by_then() -> None:
    results = taken()
    assert (results["realised_pnl"], results["unrealised_pnl"]) == (5, Decimal("6.77"))
    assert results["fees"] == Decimal("0.75")
    assert results["net_pnl"] == Decimal("11.02")
    assert results["fees_by_asset"] == {"USDT": Decimal("0.75")}
    assert (results["closed_trades"], results["winning_trades"]) == (1, 1)


def test_results_leave_the_snapshot_as_it_was() -> None:
    results = taken()
    balances = Portfolio.of({"USDT": Decimal(1000)}, TRADES[:2]).balances
    before = snapshot([], TAKEN, balances, "USDT", PRICES, None)
    assert results.items() >= before.items()


def test_the_results_of_a_snapshot_explain_its_equity() -> None:
    results = taken()
    with exactly():
        assert results["equity"] == 1000 + Decimal(str(results["net_pnl"]))


def valued(
    fills: list[Fill], at: datetime, prices: dict[Pair, Decimal], opened_with: Decimal
) -> dict[str, Any]:
    balances = Portfolio.of(triangle.RICH, [fill for fill in fills if fill.filled_at <= at]).balances
    return with_results(snapshot([], at, balances, "USDT", prices, None), fills, prices, opened_with)


@settings(deadline=None)
@given(triangle.fills(), triangle.any_prices(), triangle.any_prices(), st.integers(0, 12))
def test_every_change_of_equity_is_the_sum_of_its_named_parts_exactly(
    fills: list[Fill], opening: dict[Pair, Decimal], later: dict[Pair, Decimal], hours: int
) -> None:
    opened_with = equity(triangle.RICH, "USDT", opening)
    first = valued(fills, triangle.START + hours * triangle.HOUR, triangle.TYPICAL, opened_with)
    second = valued(fills, triangle.START + 12 * triangle.HOUR, later, opened_with)
    for earlier, now, before in ((None, first, opened_with), (first, second, first["equity"])):
        change = equity_change(earlier, now)
        assert change is not None
        with exactly():
            assert change.equity == now["equity"] - before
            assert (
                change.equity
                == change.realised + change.unrealised + change.revaluation + change.transfers + change.fees
            )
        assert change.unexplained == 0


def test_a_worked_example_of_why_equity_moved() -> None:
    """One bitcoin of the opening and one that was bought rise from 100 to 120; the fee was 2."""
    opening = {"USDT": Decimal(1000), "BTC": Decimal(1)}
    bought = triangle.fill(0, BTC, Side.BUY, "1", "100", "2")
    balances = Portfolio.of(opening, [bought]).balances
    prices = {BTC: Decimal(120)}
    now = with_results(
        snapshot([], TAKEN, balances, "USDT", prices, None), [bought], prices, opened_with=Decimal(1100)
    )
    assert equity_change(None, now) == EquityChange(
        equity=Decimal(38),
        realised=Decimal(0),
        unrealised=Decimal(20),
        revaluation=Decimal(20),
        transfers=Decimal(0),
        fees=Decimal(-2),
    )


def test_a_snapshot_from_before_its_parts_were_stored_explains_no_change() -> None:
    now = taken()
    assert equity_change({"equity": Decimal(900)}, now) is None
    assert equity_change(now, {"equity": Decimal(900)}) is None


def test_the_drawdown_of_a_snapshot_is_below_its_peak() -> None:
    earlier = {"day": date(2023, 12, 31), "equity": "2000", "opening_equity": "2000", "peak_equity": "2000"}
    now = snapshot([earlier], TAKEN, {"USDT": Decimal(1500)}, "USDT", PRICES, None)
    assert with_results(now, [], PRICES, Decimal(1500))["drawdown"] == Decimal("0.25")


def test_the_shares_of_an_allocation_are_exact_before_they_are_doubles() -> None:
    now = snapshot([], NOON, {"USDT": Decimal(3), "XRP": Decimal(1)}, "USDT", {XRP: Decimal(1)}, None)
    assert now["allocation"] == {"USDT": 0.75, "XRP": 0.25}


def test_money_that_is_paid_in_is_a_transfer_and_no_revaluation() -> None:
    before = taken()
    paid = {
        **snapshot(
            [], TAKEN, Portfolio.of({"USDT": Decimal(1300)}, TRADES[:2]).balances, "USDT", PRICES, None
        )
    }
    after = with_results(paid, TRADES, PRICES, Decimal(1000), Decimal(300))
    assert (after["transfers"], after["revaluation"]) == (300, before["revaluation"])
    change = equity_change(before, after)
    assert change is not None
    assert (change.equity, change.transfers, change.unexplained) == (300, 300, 0)


def test_a_snapshot_from_before_transfers_were_kept_had_none() -> None:
    old = {name: each for name, each in taken().items() if name != "transfers"}
    change = equity_change(old, taken())
    assert change is not None
    assert (change.transfers, change.unexplained) == (0, 0)
