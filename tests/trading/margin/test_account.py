from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.triangle_fills import (
    BTC_USDT,
    HOUR,
    START,
    TRIANGLE,
    TYPICAL,
    XRP_BTC,
    XRP_USDT,
    any_prices,
    fill,
    price_of,
)  # fmt: skip
from trading.errors import InvalidValue, NotStored
from trading.margin import arithmetic as margin
from trading.margin.account import MarginAccount
from trading.margin.terms import MarginTerms
from trading.market import Pair
from trading.orders import Side
from trading.portfolio.exact import exactly
from trading.portfolio.valuation import equity

BUY, SELL = Side.BUY, Side.SELL
TERMS = MarginTerms(
    opening_fee=Decimal("0.0002"), rollover_fee=Decimal("0.0002"), rollover_every=timedelta(hours=4),
    call_level=Decimal("0.8"), liquidation_level=Decimal("0.4"), leverage=Decimal(3),
)  # fmt: skip
FREE = replace(TERMS, opening_fee=Decimal(0), rollover_fee=Decimal(0))
THREE = Decimal(3)
LEVERAGES = st.sampled_from([Decimal(1), Decimal(2), Decimal("2.5"), THREE])


def prices(bitcoin: str | Decimal) -> dict[Pair, Decimal]:
    return {**TYPICAL, BTC_USDT: Decimal(bitcoin)}


def account(terms: MarginTerms = FREE, usdt: str = "10000", **more: str) -> MarginAccount:
    opening = {"USDT": Decimal(usdt)} | {asset: Decimal(amount) for asset, amount in more.items()}
    return MarginAccount.of(terms, "USDT", opening)


def test_opening_on_margin_leaves_the_balances_but_for_the_fees() -> None:
    opened = account(TERMS).open_position(fill(0, BTC_USDT, BUY, "0.4", "50000", "52"), THREE, prices(50_000))
    assert opened.balances == {"USDT": Decimal(10_000 - 52 - 4)}
    assert opened.fees == {"USDT": 56}


def test_margin_is_the_cost_over_the_leverage_and_the_rest_is_free() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.3", "50000"), THREE, prices(50_000))
    assert (opened.used_margin(prices(50_000)), opened.free_margin(prices(50_000))) == (5000, 5000)
    assert opened.margin_level(prices(50_000)) == 2
    assert opened.margin_level(prices(40_000)) == Decimal("1.4")


def test_a_short_position_s_margin_is_held_in_the_base_asset() -> None:
    opened = account().open_position(fill(0, BTC_USDT, SELL, "0.3", "50000"), THREE, prices(50_000))
    assert opened.used_margin(prices(60_000)) == 6000
    assert opened.equity(prices(60_000)) == 7000


def test_an_opening_that_free_margin_does_not_cover_is_refused_with_the_amounts() -> None:
    with pytest.raises(InvalidValue, match=r"use 10000.* USDT .* equity of 9994.*short of 6\.0"):
        account(TERMS).open_position(fill(0, BTC_USDT, BUY, "0.6", "50000"), THREE, prices(50_000))


def test_an_opening_may_use_the_free_margin_to_the_last_cent() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.6", "50000"), THREE, prices(50_000))
    assert opened.free_margin(prices(50_000)) == 0


def test_what_open_positions_lost_is_not_free() -> None:
    first = account().open_position(fill(0, BTC_USDT, BUY, "0.3", "50000"), THREE, prices(50_000))
    with pytest.raises(InvalidValue, match="free margin is short of"):
        first.open_position(fill(1, BTC_USDT, BUY, "0.3", "40000"), THREE, prices(40_000))


@pytest.mark.parametrize("leverage", ["0.5", "3.1", "-1", "NaN", "Infinity"])
def test_a_leverage_outside_the_terms_is_refused(leverage: str) -> None:
    with pytest.raises(InvalidValue, match=r"leverage is .*: allowed is 1 to 3"):
        account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), Decimal(leverage), prices(50_000))


def test_the_other_side_is_not_opened_while_one_is_open() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), THREE, prices(50_000))
    with pytest.raises(InvalidValue, match="open on the other side"):
        opened.open_position(fill(1, BTC_USDT, SELL, "0.1", "50000"), THREE, prices(50_000))


def test_closing_more_than_is_open_is_refused() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), THREE, prices(50_000))
    with pytest.raises(InvalidValue, match=r"closes 0\.2 BTC more than is open"):
        opened.close_position(fill(1, BTC_USDT, SELL, "0.3", "50000"))
    with pytest.raises(InvalidValue, match="more than is open"):
        opened.close_position(fill(1, BTC_USDT, BUY, "0.1", "50000"))


@pytest.mark.parametrize(("side", "other", "gain"), [(BUY, SELL, 500), (SELL, BUY, -500)])
def test_closing_books_the_profit_and_frees_the_margin(side: Side, other: Side, gain: int) -> None:
    opened = account().open_position(fill(0, BTC_USDT, side, "0.1", "50000"), THREE, prices(50_000))
    done = opened.close_position(fill(1, BTC_USDT, other, "0.1", "55000"))
    assert (done.balances, done.positions, done.realised) == ({"USDT": 10_000 + gain}, (), {"USDT": gain})
    assert done.margin_level(prices(55_000)) is None


def test_a_partial_close_takes_the_oldest_position_first() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), THREE, prices(50_000))
    opened = opened.open_position(fill(1, BTC_USDT, BUY, "0.1", "52000"), THREE, prices(52_000))
    done = opened.close_position(fill(2, BTC_USDT, SELL, "0.15", "54000"))
    assert done.realised == {"USDT": 500}
    assert [(each.quantity, each.entry_price) for each in done.positions] == [(Decimal("0.05"), 52_000)]


def test_rollovers_are_charged_once_each_however_often_one_looks() -> None:
    opened = account(TERMS).open_position(fill(0, BTC_USDT, BUY, "0.2", "50000"), THREE, prices(50_000))
    before = opened.balances["USDT"]
    assert opened.with_rollovers(START + 4 * HOUR - timedelta(microseconds=1)) == opened
    later = (
        opened.with_rollovers(START + 5 * HOUR)
        .with_rollovers(START + 9 * HOUR)
        .with_rollovers(START + 6 * HOUR)
        .with_rollovers(START + 9 * HOUR)
    )
    assert later.balances["USDT"] == before - 2 * 2
    assert later == opened.with_rollovers(START + 9 * HOUR)


def test_after_a_partial_close_the_rollover_is_charged_on_what_is_left() -> None:
    opened = account(TERMS).open_position(fill(0, BTC_USDT, BUY, "0.2", "50000"), THREE, prices(50_000))
    half = opened.close_position(fill(5, BTC_USDT, SELL, "0.1", "50000"))
    assert half.fees == {"USDT": 2 + 2}  # opening, one rollover of the whole
    assert half.with_rollovers(START + 8 * HOUR).fees == {"USDT": 2 + 2 + 1}


def test_a_position_in_another_quote_counts_through_the_triangle() -> None:
    opened = account().open_position(fill(0, XRP_BTC, BUY, "10000", "0.00001"), Decimal(2), TYPICAL)
    assert opened.used_margin(TYPICAL) == 2500
    assert opened.equity({**TYPICAL, XRP_BTC: Decimal("0.000012")}) == 11_000


def test_without_a_price_of_an_open_position_nothing_is_valued() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), THREE, prices(50_000))
    with pytest.raises(NotStored):
        opened.equity({})


@pytest.mark.parametrize(
    ("price", "called", "liquidated"),
    [("46666.7", False, False), ("46666.6", True, False), ("40000.1", True, False), ("40000", True, True)],
)
def test_a_falling_price_calls_at_80_percent_and_liquidates_at_40(
    price: str, called: bool, liquidated: bool
) -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.6", "50000"), THREE, prices(50_000))
    assert opened.is_margin_called(prices(price)) is called
    assert opened.is_liquidated(prices(price)) is liquidated


@settings(deadline=None)
@given(
    st.sampled_from(Side), st.decimals("0.01", "0.3", places=4), price_of(BTC_USDT), LEVERAGES,
    st.decimals(0, "0.2", places=4),
)  # fmt: skip
def test_at_the_account_s_liquidation_price_the_level_is_the_liquidation_level(
    side: Side, quantity: Decimal, entry: Decimal, leverage: Decimal, collateral: Decimal
) -> None:
    marked = prices(entry)
    opened = account(TERMS, usdt="80000", BTC=str(collateral)).open_position(
        fill(0, BTC_USDT, side, quantity, entry), leverage, marked
    )
    price = opened.liquidation_price(BTC_USDT, marked)
    if price is not None:
        level = opened.margin_level(prices(price))
        assert level is not None
        assert abs(level - TERMS.liquidation_level) < Decimal("1e-20")


@settings(deadline=None)
@given(st.sampled_from(Side), st.decimals("0.01", "1", places=4), price_of(BTC_USDT), LEVERAGES)
def test_one_position_on_quote_collateral_is_liquidated_where_the_formula_says(
    side: Side, quantity: Decimal, entry: Decimal, leverage: Decimal
) -> None:
    usdt = quantity * entry / leverage
    opened = account(usdt=str(usdt + 1)).open_position(
        fill(0, BTC_USDT, side, quantity, entry), leverage, prices(entry)
    )
    signed = side.sign * quantity
    formula = margin.liquidation_price(
        usdt + 1 - signed * entry, signed, entry, leverage, TERMS.liquidation_level
    )
    price = opened.liquidation_price(BTC_USDT, prices(entry))
    assert abs((price or Decimal(0)) - formula) < Decimal("1e-15")


@settings(deadline=None)
@given(st.sampled_from(Side), st.decimals("0.01", "1", places=4), price_of(BTC_USDT), LEVERAGES)
def test_a_position_closed_at_its_liquidation_price_loses_no_more_than_the_account_has(
    side: Side, quantity: Decimal, entry: Decimal, leverage: Decimal
) -> None:
    usdt = quantity * entry / leverage + 1
    opened = account(usdt=str(usdt)).open_position(
        fill(0, BTC_USDT, side, quantity, entry), leverage, prices(entry)
    )
    price = opened.liquidation_price(BTC_USDT, prices(entry))
    if price is not None:
        other = SELL if side is BUY else BUY
        done = opened.close_position(fill(1, BTC_USDT, other, quantity, price))
        assert 0 < done.balances["USDT"] < usdt


@settings(deadline=None)
@given(price_of(BTC_USDT), st.decimals("0.01", "1", places=4), price_of(BTC_USDT))
def test_a_long_never_loses_more_than_it_cost(entry: Decimal, quantity: Decimal, now: Decimal) -> None:
    usdt = quantity * entry
    opened = account(usdt=str(usdt)).open_position(
        fill(0, BTC_USDT, BUY, quantity, entry), THREE, prices(entry)
    )
    assert opened.equity(prices(now)) > usdt - quantity * entry


@st.composite
def margin_steps(draw: st.DrawFn) -> list[Any]:
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(TRIANGLE), st.sampled_from(Side), st.booleans(),
                st.decimals("0.0001", 2, places=6), st.decimals(0, 1, places=4), LEVERAGES,
            ),
            min_size=1, max_size=10,
        )
    )  # fmt: skip


@settings(deadline=None)
@given(margin_steps(), any_prices(), any_prices())
def test_equity_is_the_opening_plus_profit_less_every_fee_exactly(
    steps: list[Any], traded: Mapping[Pair, Decimal], later: Mapping[Pair, Decimal]
) -> None:
    now = account(TERMS, usdt="10000000", BTC="1")
    opening = now.opening
    for number, (pair, side, opens, quantity, fee, leverage) in enumerate(steps):
        each = fill(3 * number, pair, side, quantity, traded[pair], fee)
        try:
            now = now.open_position(each, leverage, traded) if opens else now.close_position(each)
        except InvalidValue:
            continue
    profit = now.profit(later)
    with exactly():
        worth = equity(opening, "USDT", later)
        assert now.equity(later) == worth + profit.realised + profit.unrealised - profit.fees
        assert now.used_margin(later) >= 0


def test_without_a_position_of_the_pair_nothing_liquidates() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), THREE, prices(50_000))
    assert opened.liquidation_price(XRP_USDT, TYPICAL) is None


def test_a_long_that_collateral_covers_in_full_has_no_liquidation_price() -> None:
    opened = account().open_position(fill(0, BTC_USDT, BUY, "0.01", "50000"), THREE, prices(50_000))
    assert opened.liquidation_price(BTC_USDT, prices(50_000)) is None


def test_an_account_counted_in_the_base_asset_has_no_single_liquidation_price() -> None:
    counted = MarginAccount.of(FREE, "BTC", {"BTC": Decimal(1)})
    opened = counted.open_position(fill(0, BTC_USDT, BUY, "0.5", "50000"), THREE, prices(50_000))
    with pytest.raises(InvalidValue, match="priced through BTC/USDT itself"):
        opened.liquidation_price(BTC_USDT, prices(50_000))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("opening_fee", Decimal(1)), ("opening_fee", Decimal("NaN")), ("rollover_fee", Decimal(-1)),
        ("rollover_every", timedelta(0)), ("liquidation_level", Decimal(0)), ("liquidation_level", Decimal("0.9")),
        ("call_level", Decimal("NaN")), ("leverage", Decimal("0.5")), ("leverage", Decimal("Infinity")),
    ],
)  # fmt: skip
def test_impossible_terms_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=field):
        replace(TERMS, **{field: value})


@pytest.mark.parametrize("amount", ["-1", "NaN"])
def test_impossible_collateral_is_refused_by_name(amount: str) -> None:
    with pytest.raises(InvalidValue, match="opening balance of USDT"):
        account(usdt=amount)


@pytest.mark.parametrize(("field", "value"), [("price", "0"), ("quantity", "-1"), ("fee", "NaN")])
def test_a_fill_that_no_venue_could_report_is_refused_by_name(field: str, value: str) -> None:
    good = account().open_position(fill(0, BTC_USDT, BUY, "0.1", "50000"), THREE, prices(50_000))
    bad = replace(fill(1, BTC_USDT, SELL, "0.1", "50000"), **{field: Decimal(value)})  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=f"fill fill-1: {field} is"):
        good.close_position(bad)
