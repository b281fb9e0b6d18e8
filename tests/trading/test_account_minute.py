"""The account at the end of a minute: values add up exactly, and what nobody saw is unknown, never zero."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.triangle_fills import (
    BTC_USDT,
    RICH,
    START,
    TRIANGLE,
    XRP_BTC,
    XRP_USDT,
    any_prices,
    fill,
    fills,
)
from trading.account_minute import (
    MINUTE,
    AccountMinute,
    BookedAccount,
    PriceReading,
    account_minute,
    missing_minutes,
)
from trading.market import Pair
from trading.orders import Fill, Side
from trading.portfolio import Portfolio, equity
from trading.portfolio.exact import exactly

PRICES = {BTC_USDT: Decimal(50_000), XRP_USDT: Decimal("0.5"), XRP_BTC: Decimal("0.00001")}
UNSEEN = st.sets(st.sampled_from(TRIANGLE))
OLD = Pair("SOL", "USDT")


def minute(
    made: list[Fill],
    prices: dict[Pair, Decimal] = PRICES,
    unseen: set[Pair] | None = None,
    opening: dict[str, Decimal] = RICH,
    peak: str | None = None,
    quote: str = "USDT",
) -> AccountMinute:
    """One of an account whose balances are its opening and its fills."""
    booked = BookedAccount(
        Portfolio.of(opening, made).balances, Portfolio.of({}, made), peak and Decimal(peak), 7
    )
    seen = {pair: price for pair, price in prices.items() if pair not in (unseen or set())}
    reading = PriceReading(START + MINUTE, seen, dict.fromkeys(unseen or set(), "book"))
    return account_minute("paper", quote, START, reading, booked, known_at=START + MINUTE)


@given(fills(), any_prices(), st.sampled_from(["USDT", "BTC"]))
def test_equity_is_what_was_opened_with_and_what_trading_has_made_less_fees(
    made: list[Fill], prices: dict[Pair, Decimal], quote: str
) -> None:
    row = minute(made, prices, quote=quote)
    assert row.equity is not None
    assert row.realised_pnl is not None
    assert row.unrealised_pnl is not None
    assert row.fees is not None
    with exactly():
        opened = equity(RICH, quote, prices)
        assert row.equity == sum((each.value or 0 for each in row.balances.values()), Decimal(0))
        left = row.equity - opened - row.realised_pnl - row.unrealised_pnl + row.fees
    assert abs(left) <= (0 if quote == "USDT" else Decimal("1e-30"))  # an inverted rate has 50 digits


@given(fills(), any_prices())
def test_results_are_those_of_the_portfolio(made: list[Fill], prices: dict[Pair, Decimal]) -> None:
    row, profit = minute(made, prices), Portfolio.of({}, made).profit("USDT", prices)
    assert (row.realised_pnl, row.unrealised_pnl, row.fees) == (
        profit.realised, profit.unrealised, profit.fees,
    )  # fmt: skip
    assert sum((each.unrealised_pnl or 0 for each in row.positions), Decimal(0)) == pytest.approx(
        profit.unrealised
    )


@given(fills(), any_prices(), UNSEEN)
def test_a_value_is_known_exactly_when_every_price_that_it_needs_is(
    made: list[Fill], prices: dict[Pair, Decimal], unseen: set[Pair]
) -> None:
    whole, row = minute(made, prices), minute(made, prices, unseen)
    for asset, each in row.balances.items():
        needs = set() if asset == "USDT" else {Pair(asset, "USDT")}
        assert each.amount == whole.balances[asset].amount
        assert each.value == (None if needs & unseen and each.amount else whole.balances[asset].value)
    assert (row.equity is None) == any(each.value is None for each in row.balances.values())
    assert row.equity in (None, whole.equity)
    for mine, other in zip(row.positions, whole.positions, strict=True):
        assert mine.price == (None if mine.pair in unseen else other.price)
        assert mine.unrealised_pnl in (None, other.unrealised_pnl)
    for name in ("realised_pnl", "unrealised_pnl", "fees", "gross_exposure", "net_exposure"):
        assert getattr(row, name) in (None, getattr(whole, name))
    assert row.prices.keys() | row.unseen.keys() == whole.prices.keys()
    assert row.unseen.keys() == whole.prices.keys() & unseen


@given(fills(), any_prices(), st.decimals(1, 10**12, places=2))
def test_drawdown_is_what_is_lost_of_the_peak_and_an_equity_above_it_is_the_peak(
    made: list[Fill], prices: dict[Pair, Decimal], peak: Decimal
) -> None:
    row = minute(made, prices, peak=str(peak))
    assert row.equity is not None
    assert row.peak_equity == max(peak, row.equity)
    assert row.drawdown is not None
    assert 0 <= row.drawdown < 1
    assert float(row.equity) == pytest.approx(float(row.peak_equity * (1 - row.drawdown)))


@given(fills(), any_prices())
def test_gross_exposure_counts_shorts_and_net_exposure_takes_them_off(
    made: list[Fill], prices: dict[Pair, Decimal]
) -> None:
    row = minute(made, prices)
    values = [each.quantity * prices[Pair(each.pair.base, "USDT")] for each in row.positions]
    assert row.gross_exposure == pytest.approx(sum(map(abs, values), Decimal(0)))
    assert row.net_exposure == pytest.approx(sum(values, Decimal(0)))


def test_a_long_and_a_short_show_their_own_results() -> None:
    row = minute(
        [
            fill(0, BTC_USDT, Side.BUY, "2", "49000", "10"),
            fill(1, XRP_USDT, Side.SELL, "100", "0.6", "1"),
            fill(2, BTC_USDT, Side.SELL, "1", "51000", "5"),
        ]
    )
    bitcoin, ripple = row.positions
    assert (bitcoin.quantity, bitcoin.entry_price, bitcoin.price, bitcoin.unrealised_pnl) == (
        1,
        49_000,
        50_000,
        1000,
    )
    assert (ripple.quantity, ripple.unrealised_pnl) == (-100, 10)
    assert (row.realised_pnl, row.unrealised_pnl, row.fees) == (2000, 1010, 16)
    assert (row.gross_exposure, row.net_exposure) == (50_050, 49_950)
    assert row.cash == RICH["USDT"] + Decimal("-98000") + 60 + 51_000 - 16


def test_without_a_price_the_row_says_unknown_and_why() -> None:
    row = minute([fill(0, XRP_USDT, Side.BUY, "100", "0.4")], unseen={XRP_USDT}, peak="5")
    [position] = row.positions
    assert (position.quantity, position.price, position.unrealised_pnl) == (100, None, None)
    assert row.balances["XRP"].value is None
    assert row.balances["BTC"].value == RICH["BTC"] * 50_000
    assert (row.equity, row.unrealised_pnl, row.gross_exposure, row.drawdown) == (None, None, None, None)
    assert row.peak_equity == 5
    assert row.unseen == {XRP_USDT: "book"}


def test_no_detour_is_made_around_a_pair_that_is_not_seen() -> None:
    row = minute([], unseen={XRP_USDT}, opening={"XRP": Decimal(1)})
    assert row.equity is None  # though XRP/BTC and BTC/USDT are seen: risk values it by its own pair


def test_what_is_held_in_a_pair_that_is_not_streamed_any_more_is_unknown_and_not_left_out() -> None:
    row = minute([fill(0, OLD, Side.BUY, "3", "100")])
    assert row.unseen == {OLD: "not streamed"}
    assert (row.equity, row.unrealised_pnl) == (None, None)
    assert row.left_out == {}


def test_a_staking_balance_that_no_pair_prices_is_left_out_of_the_equity() -> None:
    row = minute([], opening={"USDT": Decimal(5), "XRP.F": Decimal(3)})
    assert (row.equity, row.left_out) == (5, {"XRP.F": 3})
    assert "XRP.F" not in row.balances


def test_a_result_in_an_asset_that_nothing_prices_is_unknown_and_the_rest_is_not() -> None:
    euro = Pair("XRP", "EUR")
    made = [fill(0, euro, Side.BUY, "1", "1"), fill(1, euro, Side.SELL, "1", "2")]
    row = minute(made, opening={"USDT": Decimal(5)})
    assert (row.equity, row.realised_pnl, row.unrealised_pnl) == (5, None, 0)
    assert row.left_out == {"EUR": 1}


def test_an_account_without_a_trade_has_no_results_and_its_first_equity_is_its_peak() -> None:
    row = minute([], opening={"USDT": Decimal(5)})
    assert (row.realised_pnl, row.unrealised_pnl, row.fees, row.gross_exposure) == (0, 0, 0, 0)
    assert (row.peak_equity, row.drawdown) == (5, 0)


@given(st.sets(st.integers(0, 59)))
def test_the_missing_minutes_and_those_that_are_there_make_the_whole_span(there: set[int]) -> None:
    row = minute([])
    rows = [replace(row, minute=START + number * MINUTE) for number in sorted(there)]
    gaps = missing_minutes(rows, START, START + timedelta(hours=1))
    covered = {
        (since - START) // MINUTE + number
        for since, until in gaps
        for number in range((until - since) // MINUTE)
    }
    assert covered == set(range(60)) - there
    assert all(before[1] < after[0] for before, after in pairwise(gaps))
