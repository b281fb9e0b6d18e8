from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.triangle_fills import BTC_USDT, HOUR, START, XRP_BTC, XRP_USDT, fill, fills
from trading.errors import InvalidValue, NotStored
from trading.orders import Fill, OrderIntent, Side
from trading.portfolio import ClosedTrade, Position, after_fill, closed_trades
from trading.portfolio.exact import exactly
from trading.portfolio.trades import Holding, book_fill

BUY, SELL = Side.BUY, Side.SELL


def test_a_purchase_alone_closes_nothing() -> None:
    assert closed_trades([fill(0, BTC_USDT, BUY, "1", "100")]) == []


def test_a_round_trip_earns_the_difference_less_both_fees() -> None:
    trades = closed_trades(
        [fill(0, BTC_USDT, BUY, "2", "100", "0.5"), fill(3, BTC_USDT, SELL, "2", "110", "0.75")]
    )
    assert trades == [
        ClosedTrade(
            BTC_USDT, START, START + 3 * HOUR, Decimal(2), Decimal(100), Decimal(110), Decimal("1.25"), Decimal("18.75")
        )
    ]  # fmt: skip


def test_inventory_that_is_sold_and_bought_back_lower_earns_the_difference() -> None:
    (trade,) = closed_trades(
        [fill(0, XRP_BTC, SELL, "100", "0.00002"), fill(1, XRP_BTC, BUY, "100", "0.000015")]
    )
    assert (trade.quantity, trade.pnl) == (Decimal(-100), Decimal("0.0005"))


def test_a_partial_close_is_a_trade_of_that_part_at_average_cost() -> None:
    trades = closed_trades([
        fill(0, BTC_USDT, BUY, "1", "100", "1"), fill(1, BTC_USDT, BUY, "3", "108", "3"),
        fill(2, BTC_USDT, SELL, "1", "120", "0.5"), fill(3, BTC_USDT, SELL, "3", "90", "0.6"),
    ])  # fmt: skip
    assert [(each.quantity, each.entry_price, each.fees, each.pnl) for each in trades] == [
        (1, 106, Decimal("1.5"), Decimal("12.5")),
        (3, 106, Decimal("3.6"), Decimal("-51.6")),
    ]
    assert [each.opened_at for each in trades] == [START, START]


def test_a_turn_closes_one_trade_and_opens_the_next_with_its_part_of_the_fee() -> None:
    trades = closed_trades([
        fill(0, BTC_USDT, BUY, "1", "100"), fill(1, BTC_USDT, SELL, "4", "110", "4"),
        fill(2, BTC_USDT, BUY, "3", "105"),
    ])  # fmt: skip
    assert [(each.quantity, each.fees, each.pnl) for each in trades] == [(1, 1, 9), (-3, 3, 12)]
    assert trades[1].opened_at == START + HOUR


def test_pairs_are_kept_apart_and_trades_come_in_the_order_of_closing() -> None:
    trades = closed_trades([
        fill(0, BTC_USDT, BUY, "1", "100"), fill(1, XRP_USDT, BUY, "1", "1"),
        fill(2, XRP_USDT, SELL, "1", "2"), fill(3, BTC_USDT, SELL, "1", "90"),
    ])  # fmt: skip
    assert [each.pair for each in trades] == [XRP_USDT, BTC_USDT]


def test_accounts_are_kept_apart() -> None:
    other = replace(fill(1, BTC_USDT, SELL, "1", "110"), account="someone")
    assert closed_trades([fill(0, BTC_USDT, BUY, "1", "100"), other]) == []


def test_fills_are_taken_oldest_first_in_whatever_order_they_come() -> None:
    trips = [
        fill(0, BTC_USDT, BUY, "1", "100"),
        fill(1, BTC_USDT, SELL, "1", "90"),
        fill(2, BTC_USDT, BUY, "1", "80"),
    ]
    assert closed_trades(reversed(trips)) == closed_trades(trips)


def test_a_fee_in_the_base_asset_counts_at_the_fill_s_own_price() -> None:
    (trade,) = closed_trades(
        [
            fill(0, BTC_USDT, BUY, "1", "100", "0.01", "BTC"),
            fill(1, BTC_USDT, SELL, "1", "200", "0.01", "BTC"),
        ]
    )
    assert (trade.fees, trade.pnl) == (Decimal(3), Decimal(97))


def test_a_fee_in_a_third_asset_needs_its_price() -> None:
    paid = fill(0, BTC_USDT, BUY, "1", "100", "2", "XRP")
    with pytest.raises(NotStored, match="no price joins XRP and USDT"):
        closed_trades([paid])
    (trade,) = closed_trades([paid, fill(1, BTC_USDT, SELL, "1", "100")], {XRP_USDT: Decimal("0.5")})
    assert trade.pnl == -1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "0"), ("price", "NaN"), ("price", "-1"), ("quantity", "0"), ("quantity", "-1"),
        ("quantity", "Infinity"), ("quantity", "NaN"), ("fee", "-0.1"), ("fee", "NaN"),
    ],
)  # fmt: skip
def test_what_no_venue_could_report_is_refused_by_name(field: str, value: str) -> None:
    impossible = replace(fill(7, BTC_USDT, BUY, "1", "100"), **{field: Decimal(value)})  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=f"fill fill-7: {field} is"):
        closed_trades([impossible])


@settings(deadline=None)
@given(fills())
def test_what_is_closed_and_what_is_open_add_up_to_the_fills(trades: list[Fill]) -> None:
    held: Holding | None = None
    closed: list[ClosedTrade] = []
    for each in (replace(trade, pair=BTC_USDT, fee_asset="USDT") for trade in trades):
        held, trade = book_fill(held, each, each.fee)
        closed += [trade] if trade else []
    open_cost, open_fees, quantity = (held.cost, held.fees, held.quantity) if held else (Decimal(0),) * 3
    with exactly():
        flows = -sum((each.side.sign * each.quantity * each.price for each in trades), Decimal(0))
        fees = sum((each.fee for each in trades), Decimal(0))
        assert sum(each.pnl for each in closed) - open_fees == flows + open_cost - fees
        assert sum(each.fees for each in closed) + open_fees == fees
        assert quantity == sum(each.side.sign * each.quantity for each in trades)


@settings(deadline=None)
@given(fills())
def test_a_holding_is_the_position_that_the_journal_keeps(trades: list[Fill]) -> None:
    held: Holding | None = None
    position: Position | None = None
    for each in (replace(trade, pair=BTC_USDT) for trade in trades):
        intent = OrderIntent("i", "d", "paper", BTC_USDT, each.side, each.quantity, False, None, None, START)
        held, _ = book_fill(held, each)
        position = after_fill(position, each, intent)
        assert (held is None) == (position is None)
        if held and position:
            assert (held.quantity, held.opened_at) == (position.quantity, position.opened_at)
            assert abs(held.entry_price / position.entry_price - 1) < Decimal("1e-20")


@settings(deadline=None)
@given(fills(maximum=8), st.integers(2, 5))
def test_a_fill_in_several_parts_earns_what_it_earns_in_one(trades: list[Fill], parts: int) -> None:
    split = [
        replace(each, quantity=each.quantity / parts, fee=each.fee / parts, fill_id=f"{each.fill_id}-{part}")
        for each in trades
        for part in range(parts)
    ]
    whole, pieces = closed_trades(trades), closed_trades(split)
    assert abs(sum(each.pnl for each in whole) - sum(each.pnl for each in pieces)) < Decimal("1e-15")
