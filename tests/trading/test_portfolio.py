from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill, OrderIntent, Side
from trading.portfolio import Position, after_fill, cash_flows, equity, rate

BTC_USDT = Pair("BTC", "USDT")
XRP_BTC = Pair("XRP", "BTC")
NOW = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2024, 1, 2, tzinfo=UTC)
QUANTITIES = st.decimals("0.0001", 1000, places=4)
PRICES = st.decimals("0.01", 100_000, places=2)
FEES = st.decimals(0, 10, places=4)
TRADES = st.lists(st.tuples(st.sampled_from(Side), QUANTITIES, PRICES), min_size=1, max_size=12)


def fill(side: Side, quantity: str | Decimal, price: str | Decimal, at: datetime = NOW) -> Fill:
    return Fill(
        fill_id="fill",
        intent_id="intent",
        account="paper",
        pair=BTC_USDT,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal("0.5"),
        fee_asset="USDT",
        filled_at=at,
    )


def intent(stop: str | None = "90", target: str | None = "120") -> OrderIntent:
    return OrderIntent(
        intent_id="intent",
        decision_id="decision",
        account="paper",
        pair=BTC_USDT,
        side=Side.BUY,
        quantity=Decimal("1"),
        reduces=stop is None,
        stop_loss=None if stop is None else Decimal(stop),
        take_profit=None if target is None else Decimal(target),
        created_at=NOW,
    )


def opened(side: Side, quantity: str, price: str) -> Position:
    position = after_fill(None, fill(side, quantity, price), intent())
    assert position is not None
    return position


def test_a_purchase_moves_quote_into_base_and_pays_its_fee() -> None:
    assert cash_flows(fill(Side.BUY, "2", "100")) == {"BTC": Decimal("2"), "USDT": Decimal("-200.5")}


def test_a_sale_moves_base_into_quote_and_pays_its_fee() -> None:
    assert cash_flows(fill(Side.SELL, "2", "100")) == {"BTC": Decimal("-2"), "USDT": Decimal("199.5")}


def test_a_fee_in_a_third_asset_leaves_that_asset() -> None:
    flows = cash_flows(replace(fill(Side.BUY, "1", "100"), fee_asset="KFEE"))
    assert flows == {"BTC": Decimal("1"), "USDT": Decimal("-100"), "KFEE": Decimal("-0.5")}


@given(QUANTITIES, PRICES, FEES)
def test_buying_and_selling_back_at_one_price_costs_exactly_the_fees(
    quantity: Decimal, price: Decimal, fee: Decimal
) -> None:
    there, back = (cash_flows(replace(fill(side, quantity, price), fee=fee)) for side in Side)
    assert there["BTC"] + back["BTC"] == 0
    assert there["USDT"] + back["USDT"] == -2 * fee


@pytest.mark.parametrize(("side", "quantity"), [(Side.BUY, "2"), (Side.SELL, "-2")])
def test_the_first_fill_opens_a_position_with_the_intent_s_levels(side: Side, quantity: str) -> None:
    assert opened(side, "2", "100") == Position(
        "paper", BTC_USDT, Decimal(quantity), Decimal("100"), Decimal("90"), Decimal("120"), NOW
    )


@pytest.mark.parametrize(("side", "quantity"), [(Side.BUY, "4"), (Side.SELL, "-4")])
def test_a_position_grows_at_the_average_price_and_takes_the_new_levels(side: Side, quantity: str) -> None:
    position = after_fill(opened(side, "1", "100"), fill(side, "3", "108", LATER), intent("95", "130"))
    assert position == Position(
        "paper", BTC_USDT, Decimal(quantity), Decimal("106"), Decimal("95"), Decimal("130"), NOW
    )


@pytest.mark.parametrize(("side", "quantity"), [(Side.BUY, "1"), (Side.SELL, "-1")])
def test_a_position_shrinks_without_changing_its_entry_or_levels(side: Side, quantity: str) -> None:
    start = opened(side, "3", "100")
    other = Side.SELL if side is Side.BUY else Side.BUY
    position = after_fill(start, fill(other, "2", "150", LATER), intent(None, None))
    assert position == replace(start, quantity=Decimal(quantity))


@pytest.mark.parametrize(("side", "other"), [(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
def test_a_position_sold_or_bought_back_in_full_is_gone(side: Side, other: Side) -> None:
    assert after_fill(opened(side, "3", "100"), fill(other, "3", "90"), intent(None, None)) is None


def test_a_position_that_turns_opens_anew_at_the_new_price() -> None:
    position = after_fill(
        opened(Side.BUY, "1", "100"), fill(Side.SELL, "3", "110", LATER), intent("115", "100")
    )
    assert position == Position(
        "paper", BTC_USDT, Decimal("-2"), Decimal("110"), Decimal("115"), Decimal("100"), LATER
    )


@settings(deadline=None)
@given(TRADES)
def test_a_position_is_always_the_sum_of_its_fills(trades: list[tuple[Side, Decimal, Decimal]]) -> None:
    position: Position | None = None
    for side, quantity, price in trades:
        position = after_fill(position, fill(side, quantity, price), intent())
    total = sum((side.sign * quantity for side, quantity, _ in trades), Decimal(0))
    assert (position.quantity if position else Decimal(0)) == total


@settings(deadline=None)
@given(st.sampled_from(Side), st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=8))
def test_the_entry_price_lies_between_the_prices_that_built_the_position(
    side: Side, trades: list[tuple[Decimal, Decimal]]
) -> None:
    position: Position | None = None
    for quantity, price in trades:
        position = after_fill(position, fill(side, quantity, price), intent())
    assert position is not None
    prices = [price for _, price in trades]
    rounding = Decimal("1e-18")
    assert min(prices) - rounding <= position.entry_price <= max(prices) + rounding


@settings(deadline=None)
@given(TRADES, PRICES)
def test_equity_changes_by_what_the_fills_gained_less_the_fees(
    trades: list[tuple[Side, Decimal, Decimal]], last: Decimal
) -> None:
    balances = {"BTC": Decimal(0), "USDT": Decimal(0)}
    for side, quantity, price in trades:
        for asset, amount in cash_flows(fill(side, quantity, price)).items():
            balances[asset] += amount
    gained = sum((side.sign * quantity * (last - price) for side, quantity, price in trades), Decimal(0))
    assert equity(balances, "USDT", {BTC_USDT: last}) == gained - len(trades) * Decimal("0.5")


def test_an_asset_is_worth_one_of_itself() -> None:
    assert rate("BTC", "BTC", {}) == 1


def test_a_rate_is_read_directly_or_inverted() -> None:
    prices = {BTC_USDT: Decimal("50000")}
    assert rate("BTC", "USDT", prices) == Decimal("50000")
    assert rate("USDT", "BTC", prices) == Decimal("0.00002")


@pytest.mark.parametrize(("prices", "known"), [({}, "none"), ({XRP_BTC: Decimal("0.00001")}, "XRP/BTC")])
def test_a_missing_price_is_an_error_that_lists_what_is_known(
    prices: dict[Pair, Decimal], known: str
) -> None:
    with pytest.raises(NotStored, match=f"no price joins BTC and USDT: known pairs are {known}"):
        rate("BTC", "USDT", prices)


def test_equity_needs_no_price_for_an_asset_of_which_nothing_is_left() -> None:
    balances = {"USDT": Decimal("100"), "XRP": Decimal("0")}
    assert equity(balances, "USDT", {}) == Decimal("100")


def test_equity_sums_every_asset_in_one_quote() -> None:
    balances = {"USDT": Decimal("1000"), "BTC": Decimal("0.01"), "XRP": Decimal("500")}
    prices = {BTC_USDT: Decimal("60000"), Pair("XRP", "USDT"): Decimal("0.5")}
    assert equity(balances, "USDT", prices) == Decimal("1850")


def test_equity_of_nothing_is_zero() -> None:
    assert equity({}, "USDT", {}) == 0
