from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading import triangle_fills as triangle
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Fill, OrderIntent, Side
from trading.portfolio import Portfolio, Position, after_fill, cash_flows, equity, rate
from trading.portfolio.exact import exactly

BTC_USDT = Pair("BTC", "USDT")
XRP_BTC = Pair("XRP", "BTC")
NOW = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2024, 1, 2, tzinfo=UTC)
QUANTITIES = st.decimals("0.0001", 1000, places=4)
PRICES = st.decimals("0.01", 100_000, places=2)
FEES = st.decimals(0, 10, places=4)
TRADES = st.lists(st.tuples(st.sampled_from(Side), QUANTITIES, PRICES), min_size=1, max_size=12)


def fill(side: Side, quantity: str | Decimal, price: str | Decimal, at: datetime = NOW) -> Fill:
    paid = triangle.fill(0, BTC_USDT, side, quantity, price, "0.5")
    return replace(paid, filled_at=at)


def intent(stop: str | None = "90", target: str | None = "120") -> OrderIntent:
    levels = [None if level is None else Decimal(level) for level in (stop, target)]
    return OrderIntent("i", "d", "paper", BTC_USDT, Side.BUY, Decimal(1), stop is None, *levels, NOW)


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
        "paper", BTC_USDT, Decimal(quantity), Decimal("106"), Decimal("95"), Decimal("130"), LATER
    )


def test_parts_of_one_order_are_protected_since_its_first() -> None:
    position = after_fill(opened(Side.BUY, "1", "100"), fill(Side.BUY, "3", "108", LATER), intent())
    assert position is not None
    assert (position.quantity, position.opened_at) == (4, NOW)


def test_a_position_of_many_digits_is_never_rounded() -> None:
    start = opened(Side.BUY, "123456789012345.000000000000000001", "100")
    left = after_fill(start, fill(Side.SELL, "0.000000000000000001", "100"), intent(None, None))
    grown = after_fill(start, fill(Side.BUY, "0.000000000000000001", "100", LATER), intent())
    assert left is not None
    assert grown is not None
    assert left.quantity == 123456789012345
    assert str(grown.quantity) == "123456789012345.000000000000000002"
    assert grown.entry_price == 100


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


OPENING = {"USDT": Decimal(1000), "BTC": Decimal("0.1")}


def test_a_portfolio_without_fills_is_what_it_opened_with() -> None:
    portfolio = Portfolio.of(OPENING, [])
    assert (portfolio.balances, portfolio.holdings) == (OPENING, {})
    assert portfolio.profit("USDT", {}).net == 0


def test_a_portfolio_knows_balances_cost_profit_and_fees() -> None:
    portfolio = Portfolio.of(OPENING, [
        triangle.fill(0, BTC_USDT, Side.BUY, "4", "100", "1"),
        triangle.fill(1, BTC_USDT, Side.SELL, "1", "110", "0.5"),
    ])  # fmt: skip
    assert portfolio.balances == {"USDT": Decimal("708.5"), "BTC": Decimal("3.1")}
    assert portfolio.holdings[BTC_USDT].entry_price == 100
    profit = portfolio.profit("USDT", {BTC_USDT: Decimal(120)})
    assert (profit.realised, profit.unrealised) == (10, 60)
    assert (profit.fees, profit.net) == (Decimal("1.5"), Decimal("68.5"))


def test_profit_is_counted_in_any_asset_that_prices_reach() -> None:
    bought = Portfolio.of(OPENING, [triangle.fill(0, XRP_BTC, Side.BUY, "1000", "0.00001")])
    prices = {BTC_USDT: Decimal(50_000), XRP_BTC: Decimal("0.00002")}
    assert bought.profit("BTC", prices).unrealised == Decimal("0.01")
    assert bought.profit("USDT", prices).unrealised == 500


@settings(deadline=None)
@given(triangle.fills(), triangle.any_prices(), st.sampled_from(["BTC", "USDT", "XRP"]))
def test_equity_is_what_the_opening_is_worth_plus_profit_less_fees_exactly(
    fills: list[Fill], prices: dict[Pair, Decimal], quote: str
) -> None:
    portfolio = Portfolio.of(triangle.RICH, fills)
    profit = portfolio.profit(quote, prices)
    with exactly():
        opening = equity(triangle.RICH, quote, prices)
        assert portfolio.equity(quote, prices) - opening == profit.realised + profit.unrealised - profit.fees
        assert profit.net == profit.realised + profit.unrealised - profit.fees


@settings(deadline=None)
@given(triangle.fills(), triangle.any_prices())
def test_cash_and_positions_add_up_to_equity(fills: list[Fill], prices: dict[Pair, Decimal]) -> None:
    portfolio = Portfolio.of(triangle.RICH, fills)
    with exactly():
        cash, value = dict(portfolio.balances), Decimal(0)
        for pair, holding in portfolio.holdings.items():
            cash[pair.base] -= holding.quantity
            value += holding.quantity * rate(pair.base, "USDT", prices)
        assert equity(cash, "USDT", prices) + value == portfolio.equity("USDT", prices)


@settings(deadline=None)
@given(triangle.fills(), triangle.any_prices())
def test_between_two_moments_equity_moves_by_net_profit_and_by_what_the_opening_gained(
    fills: list[Fill], later: dict[Pair, Decimal]
) -> None:
    portfolio, now = Portfolio.of(triangle.RICH, fills), triangle.TYPICAL
    with exactly():
        moved = portfolio.equity("USDT", later) - portfolio.equity("USDT", now)
        earned = portfolio.profit("USDT", later).net - portfolio.profit("USDT", now).net
        held = equity(triangle.RICH, "USDT", later) - equity(triangle.RICH, "USDT", now)
        assert moved == earned + held


@settings(deadline=None)
@given(triangle.fills(minimum=2).flatmap(lambda fills: st.tuples(st.just(fills), st.permutations(fills))))
def test_the_order_of_fills_changes_no_balance_and_no_profit(orders: tuple[list[Fill], list[Fill]]) -> None:
    in_order, shuffled = orders
    renumbered = [replace(each, filled_at=NOW) for each in shuffled]  # one moment: the given order counts
    one, other = Portfolio.of(triangle.RICH, in_order), Portfolio.of(triangle.RICH, renumbered)
    assert one.balances == other.balances
    assert one.fees == other.fees
    assert one.profit("USDT", triangle.TYPICAL).net == other.profit("USDT", triangle.TYPICAL).net


def test_a_fill_that_the_account_could_not_pay_leaves_a_debt_and_equity_counts_it() -> None:
    portfolio = Portfolio.of(OPENING, [triangle.fill(0, BTC_USDT, Side.BUY, "1", "1000.5", "0.5", "KFEE")])
    assert portfolio.balances == {"USDT": Decimal("-0.5"), "BTC": Decimal("1.1"), "KFEE": Decimal("-0.5")}
    prices = {BTC_USDT: Decimal(1000), Pair("KFEE", "USDT"): Decimal(2)}
    assert portfolio.equity("USDT", prices) == Decimal("1098.5")


def test_a_sale_counts_before_the_purchase_that_it_pays_for() -> None:
    fills = [
        triangle.fill(1, BTC_USDT, Side.BUY, "1", "1500"),
        triangle.fill(0, BTC_USDT, Side.SELL, "0.1", "5000"),
    ]
    assert Portfolio.of(OPENING, fills).balances == {"USDT": 0, "BTC": 1}


def test_a_fill_that_is_there_twice_is_refused() -> None:
    once = triangle.fill(0, BTC_USDT, Side.BUY, "1", "1")
    with pytest.raises(InvalidValue, match="fill fill-0 is there twice"):
        Portfolio.of(OPENING, [once, once])


def test_fills_of_two_accounts_are_refused() -> None:
    mine, other = (triangle.fill(number, BTC_USDT, Side.BUY, "1", "1") for number in range(2))
    with pytest.raises(InvalidValue, match="fill-1 is of someone, others are of paper"):
        Portfolio.of(OPENING, [mine, replace(other, account="someone")])


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_an_impossible_opening_balance_is_refused_by_name(amount: str) -> None:
    with pytest.raises(InvalidValue, match="opening balance of XRP is"):
        Portfolio.of({"XRP": Decimal(amount)}, [])


@pytest.mark.parametrize("field", ["price", "quantity", "fee"])
def test_a_fill_with_an_impossible_number_is_refused_by_name(field: str) -> None:
    impossible = replace(triangle.fill(0, BTC_USDT, Side.BUY, "1", "1"), **{field: Decimal("NaN")})  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=f"fill fill-0: {field} is NaN"):
        Portfolio.of(OPENING, [impossible])


def test_profit_in_an_asset_without_a_price_is_an_error_not_a_zero() -> None:
    portfolio = Portfolio.of(OPENING, [triangle.fill(0, BTC_USDT, Side.BUY, "1", "1")])
    with pytest.raises(NotStored, match="no price joins BTC and USDT"):
        portfolio.profit("USDT", {})
