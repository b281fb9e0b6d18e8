"""The paper venue, beyond what every venue promises: exact numbers, parts, stops, and what a killed process leaves."""

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.paper_account import ACCOUNT, FUNDS, LISTED, QUIET, PaperAccount, Row, hour
from trading.errors import InvalidValue, NotStored, VenueRefused
from trading.fills import Costs, Liquidity
from trading.market import Pair, PairStatus
from trading.orders import Fill, OrderIntent, OrderStatus, Side
from trading.venues.paper_orders import rounded_against

COSTS = Costs(taker_fee=0.004, half_spread=0.0001, slippage=0.0002)
LIVE = (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED)


def paid(rows: list[Row] | None = None, **changes: Any) -> PaperAccount:
    """An account that pays fees, spread and slippage."""
    return PaperAccount(rows or [QUIET] * 4, instrument=LISTED, costs=COSTS, **changes)


def filled(account: PaperAccount) -> list[tuple[str, str]]:
    """Price and quantity of every fill that is booked, oldest first."""
    return [(f"{each.price:f}", f"{each.quantity:f}") for each in account.journal.fills(ACCOUNT)]


# --- prices


def test_a_buyer_pays_more_than_the_open_after_the_decision_and_the_fee() -> None:
    account = paid([(100, 120, 90, 110), QUIET])
    order = account.send(account.decide())
    assert (order.status, order.venue_order_id) == (OrderStatus.ACKNOWLEDGED, "paper-intent-1")
    account.refresh()
    (fill,) = account.journal.fills(ACCOUNT)
    assert (fill.price, fill.quantity, fill.filled_at) == (Decimal("100.03"), Decimal(1), hour(0))
    assert (fill.fee, fill.fee_asset) == (Decimal("0.40012"), "USDT")
    assert account.journal.balances(ACCOUNT)["USDT"] == FUNDS["USDT"] - Decimal("100.43012")


def test_a_seller_gets_less_than_the_open() -> None:
    account = paid([(100.006, 120, 90, 110)])
    account.send(account.decide(Side.SELL))
    account.refresh()
    assert filled(account) == [("99.97", "1")]


def test_without_a_next_price_the_order_waits_and_is_filled_when_it_is_there() -> None:
    account = PaperAccount([QUIET, (101, 101, 101, 101)])
    account.clock = hour(0.5)
    wanted = account.decide()
    account.send(wanted)
    report = account.look(wanted)
    assert (report.status, report.reason) == (OrderStatus.ACKNOWLEDGED, "waits for the next candle's open")
    account.clock = hour(1)
    account.refresh()
    assert filled(account) == [("101", "1")]


def test_an_order_that_was_sent_late_gets_no_price_from_before_that() -> None:
    account = PaperAccount([(100, 100, 100, 100)] * 3 + [(120, 120, 120, 120)] * 3)
    wanted = account.decide()
    account.clock = hour(4)
    account.send(wanted)
    account.refresh()
    assert filled(account) == [("120", "1")]


@pytest.mark.parametrize("price", [float("nan"), float("inf")])
def test_an_impossible_quote_fills_nothing(price: float) -> None:
    account = PaperAccount([(price, price, price, price)])
    account.send(account.decide())
    with pytest.raises(InvalidValue, match="quotes"):
        account.refresh()
    assert account.journal.balances(ACCOUNT) == FUNDS


@settings(max_examples=100, deadline=None)
@given(
    st.floats(1e-6, 1e6),
    st.sampled_from(Side),
    st.sampled_from([Decimal("0.1"), Decimal("0.00001"), Decimal("0.00000001")]),
)
def test_rounding_never_favours_the_trader_and_moves_less_than_one_increment(
    price: float, side: Side, increment: Decimal
) -> None:
    rounded = rounded_against(price, side, increment)
    exact = Decimal(format(price, ".15g"))
    assert rounded % increment == 0
    assert 0 <= side.sign * (rounded - exact) < increment


def test_a_price_on_the_grid_is_not_moved_by_the_noise_of_a_double() -> None:
    assert rounded_against(0.1 + 0.2, Side.BUY, Decimal("0.1")) == Decimal("0.3")


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": "0.009"}, r"0\.009 BTC is below the minimum of 0\.01"),
        ({"quantity": "0.0105"}, r"0\.0105 is not a multiple of 0\.001"),
        ({"trigger": Decimal("97.005"), "reduces": True, "side": Side.SELL}, r"97\.005 is not a multiple of 0\.01"),
        ({"trigger": Decimal(100), "reduces": True, "side": Side.SELL}, r"passed the trigger 100: it is at 100"),
        ({"trigger": Decimal(99), "reduces": True}, r"passed the trigger 99: it is at 100"),
    ],
)  # fmt: skip
def test_what_can_be_known_at_once_is_refused_at_once(changes: dict[str, Any], reason: str) -> None:
    account = paid()
    with pytest.raises(VenueRefused, match=reason):
        account.venue().submit(account.decide(**changes), hour(0))


def test_a_pair_that_is_not_traded_is_named() -> None:
    account = paid()
    with pytest.raises(NotStored, match="does not trade NOT/THERE"):
        account.venue().submit(account.decide(pair=Pair("NOT", "THERE")), hour(0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": "0.01"}, r"cost 1\.0003 USDT is below the minimum of 5$"),
        ({"quantity": "99.97"}, r"needs .* USDT, the account has 10000"),
        ({"quantity": "6", "side": Side.SELL}, r"needs 6 BTC, the account has 5"),
    ],
)
def test_what_the_account_cannot_do_at_the_price_is_rejected_at_the_fill(
    changes: dict[str, Any], reason: str
) -> None:
    account = paid()
    account.instrument = replace(LISTED, minimum_cost=Decimal(5))
    wanted = account.decide(**changes)
    account.send(wanted)
    account.refresh()
    order = account.working(wanted).order
    assert order.status is OrderStatus.REJECTED
    assert re.search(reason, order.reason)
    assert account.journal.balances(ACCOUNT) == FUNDS


def test_two_orders_that_are_asked_about_at_once_do_not_spend_the_same_money() -> None:
    account = PaperAccount([QUIET] * 3)
    orders = [account.decide(quantity="60") for _ in range(2)]
    for each in orders:
        account.send(each)
    account.refresh()
    assert sorted(account.working(each).order.status for each in orders) == ["filled", "rejected"]
    assert account.journal.balances(ACCOUNT)["USDT"] == 4000


@pytest.mark.parametrize("status", [each for each in PairStatus if each is not PairStatus.ONLINE])
def test_what_is_not_online_is_named_in_the_refusal(status: PairStatus) -> None:
    account = paid()
    account.restrict(status)
    with pytest.raises(VenueRefused, match=status.value):
        account.venue().submit(account.decide(), hour(0))


def test_a_pair_that_only_reduces_takes_the_order_that_closes() -> None:
    account = PaperAccount([QUIET] * 4)
    account.buy()
    account.restrict(PairStatus.REDUCE_ONLY)
    assert account.send(account.decide(Side.SELL, reduces=True)).status is OrderStatus.ACKNOWLEDGED
    account.refresh()
    assert account.journal.positions(ACCOUNT) == []


def test_a_pair_without_prices_waits_and_stops_no_other_one() -> None:
    account, stop = protected([(100, 101, 97, 99)])
    other = replace(account.instrument, pair=Pair("OLD", "USDT"))
    account.clock = hour(2)
    gone = account.decide(pair=other.pair)
    account.mark_sent(gone)
    account.others = {other.pair: other}
    reports = account.venue().reports([account.working(gone), account.working(stop)])
    assert reports[stop.intent_id].status is OrderStatus.FILLED
    assert reports[gone.intent_id].status is OrderStatus.ACKNOWLEDGED
    assert reports[gone.intent_id].reason == "no candles of OLD/USDT"
    account.refresh()
    assert account.venue().books(hour(0)).balances == account.journal.balances(ACCOUNT)


# --- a killed process


def test_an_order_that_is_marked_as_sent_is_at_the_venue_whether_submit_was_called_or_not() -> None:
    killed, whole = PaperAccount([QUIET] * 3), PaperAccount([QUIET] * 3)
    wanted = killed.decide()
    killed.mark_sent(wanted)  # and killed before it was submitted
    killed.refresh()
    whole.send(whole.decide())
    whole.refresh()
    assert killed.journal.fills(ACCOUNT) == whole.journal.fills(ACCOUNT)
    assert killed.working(wanted).order.venue_order_id == "paper-intent-1"


def test_an_order_that_was_never_sent_is_not_at_the_venue() -> None:
    account = PaperAccount([QUIET] * 3)
    assert account.venue().reports([account.working(account.decide())]) == {}


def test_an_order_that_would_have_been_refused_is_rejected_after_a_kill_before_the_answer() -> None:
    account = PaperAccount([QUIET] * 3)
    wanted = account.decide(quantity="0.009")
    account.mark_sent(wanted)
    report = account.look(wanted)
    assert (report.status, report.fills) == (OrderStatus.REJECTED, ())
    assert "below the minimum" in report.reason


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_fills_are_the_same_whenever_it_is_asked_and_booked(data: st.DataObject) -> None:
    """Volumes, prices and the moments of asking are random; one account is asked only in the end."""
    size = 12
    opens = data.draw(st.lists(st.integers(90, 110), min_size=size, max_size=size))
    rows: list[Row] = [(each, each + 3, each - 3, each) for each in opens]
    volumes = data.draw(st.lists(st.sampled_from([0.0, 5.0, 10.0]), min_size=size, max_size=size))
    asked = data.draw(st.sets(st.integers(0, size)))
    often, once = (PaperAccount(rows, volumes, participation=0.1) for _ in range(2))
    for account in (often, once):
        account.send(account.decide(quantity="3"))
    for number in sorted(asked):
        often.clock = hour(number)
        often.refresh()
    for account in (often, once):
        account.clock = hour(size)
        account.refresh()
    assert often.journal.fills(ACCOUNT) == once.journal.fills(ACCOUNT)
    assert often.journal.balances(ACCOUNT) == once.journal.balances(ACCOUNT)


# --- parts


def test_an_order_larger_than_the_liquidity_is_filled_in_parts_at_the_next_opens() -> None:
    rows: list[Row] = [(100 + number,) * 4 for number in range(6)]
    account = PaperAccount(rows, [10, 20, 0, 30, 100, 100], participation=0.1)
    account.clock = hour(1)
    wanted = account.decide(quantity="7")
    account.send(wanted)
    account.refresh()
    assert account.working(wanted).order.status is OrderStatus.PARTLY_FILLED
    assert filled(account) == [("101", "1")]
    account.clock = hour(4)
    account.refresh()
    assert filled(account) == [("101", "1"), ("102", "2"), ("104", "3")]  # nothing after the quiet one
    account.clock = hour(5)
    account.refresh()
    assert filled(account)[3:] == [("105", "1")]
    assert account.working(wanted).order.status is OrderStatus.FILLED


def test_without_a_limit_every_order_is_filled_at_once() -> None:
    account = PaperAccount([QUIET] * 2, [0, 0], participation=0.0)
    account.buy("50")
    assert filled(account) == [("100", "50")]


def test_a_part_is_a_multiple_of_the_quantity_increment() -> None:
    account = PaperAccount([QUIET] * 4, [0.12349] * 4, participation=0.1)
    account.clock = hour(1)
    account.buy("1")
    assert filled(account) == [("100", "0.012")]


def test_money_that_ends_with_a_part_ends_the_order() -> None:
    account = PaperAccount([QUIET] * 6, [200] * 6, participation=0.25)
    account.clock = hour(1)
    wanted = account.decide(quantity="150")
    account.send(wanted)
    account.clock = hour(5)
    account.refresh()
    order = account.working(wanted).order
    assert (order.status, order.filled) == (OrderStatus.CANCELLED, Decimal(100))
    assert order.reason == "needs 5000 USDT, the account has 0, after 100 of 150 BTC"


def test_parts_that_are_booked_stay_as_they_are_when_the_limit_is_changed() -> None:
    account = PaperAccount([QUIET] * 6, [10] * 6, participation=0.1)
    account.clock = hour(1)
    wanted = account.buy("3")
    account.participation = 0.2
    account.clock = hour(3)
    account.refresh()
    assert filled(account) == [("100", "1"), ("100", "2")]
    assert account.working(wanted).order.status is OrderStatus.FILLED


@pytest.mark.parametrize("participation", [-0.1, 1.1, float("nan")])
def test_an_impossible_participation_is_refused(participation: float) -> None:
    with pytest.raises(InvalidValue, match="participation"):
        Liquidity(participation)


# --- stops


def protected(rows: list[Row], stop: str = "98", **changes: Any) -> tuple[PaperAccount, OrderIntent]:
    """One coin, bought at the first open, and the stop that came with it."""
    account = PaperAccount([QUIET, *rows], **changes)
    account.clock = hour(1)
    entry = account.buy(stop_loss=Decimal(stop))
    (resting,) = account.adopt(entry)
    return account, resting


def test_a_stop_rests_over_every_part_from_its_fill_on() -> None:
    account = PaperAccount([QUIET] * 5, [10] * 5, participation=0.1)
    account.clock = hour(1)
    entry = account.decide(quantity="3", stop_loss=Decimal("97.996"))
    account.send(entry)
    assert account.venue().stops_of(account.working(entry)) == []
    account.refresh()
    account.clock = hour(2)
    account.refresh()
    stops = account.venue().stops_of(account.working(entry))
    assert [(each.quantity, each.trigger, each.at) for each in stops] == [
        (Decimal(1), Decimal("98.00"), hour(1)), (Decimal(1), Decimal("98.00"), hour(2))
    ]  # fmt: skip
    assert {(each.side, each.parent_id, each.client_order_id) for each in stops} == {
        (Side.SELL, "paper-intent-1", "")
    }
    assert len({each.venue_order_id for each in stops}) == 2


def test_a_touched_stop_is_filled_at_its_trigger_in_the_last_moment_of_the_candle() -> None:
    account, stop = protected([(100, 101, 97, 99), (99, 99, 99, 99)])
    assert account.look(stop).status is OrderStatus.ACKNOWLEDGED
    account.clock = hour(2)
    account.refresh()
    fill = account.journal.fills(ACCOUNT)[-1]
    assert (fill.price, fill.filled_at) == (Decimal(98), hour(2) - timedelta(microseconds=1))
    assert account.working(stop).order.status is OrderStatus.FILLED
    assert account.journal.positions(ACCOUNT) == []


def test_a_stop_that_the_open_has_passed_is_filled_at_the_open() -> None:
    account, stop = protected([QUIET, (95, 99, 94, 96)])
    account.clock = hour(3)
    report = account.look(stop)
    assert [(each.price, each.filled_at) for each in report.fills] == [(Decimal(95), hour(2))]


def test_a_stop_pays_spread_slippage_and_fee() -> None:
    account, stop = protected([(100, 101, 97, 99)], instrument=LISTED, costs=COSTS)
    account.clock = hour(2)
    (fill,) = account.look(stop).fills
    assert (fill.price, fill.fee) == (Decimal("97.97"), Decimal("0.39188"))


def test_the_stop_of_a_short_buys_at_the_higher_of_open_and_trigger() -> None:
    for first, price in ((101.0, 102), (103.0, 103)):
        account = PaperAccount([QUIET, (100, 101, 99, 101), (first, 105, 100, 104)])
        account.clock = hour(1)
        entry = account.decide(Side.SELL, stop_loss=Decimal(102))
        account.send(entry)
        account.refresh()
        (stop,) = account.adopt(entry)
        account.clock = hour(3)
        account.refresh()
        assert (stop.side, account.journal.fills(ACCOUNT)[-1].price) == (Side.BUY, Decimal(price))
        assert account.journal.positions(ACCOUNT) == []


def test_the_candle_of_the_fill_counts_whatever_second_it_came_in() -> None:
    """Filled five seconds into the candle, whose low is below the stop: closed, not blind for an hour."""
    account, stop = protected([(100, 101, 50, 100)])
    late = replace(account.working(stop).order, working_since=hour(1 + 5 / 3600))
    journal = PaperAccount([QUIET, (100, 101, 50, 100)])
    journal.clock = hour(1)
    journal.buy()
    journal.journal.add_order(replace(stop, decision_id="decision-1"), late, "filled late")
    journal.clock = hour(2)
    journal.refresh()
    assert journal.journal.positions(ACCOUNT) == []
    assert journal.journal.fills(ACCOUNT)[-1].price == 98


def test_candles_from_before_the_stop_do_not_touch_it() -> None:
    account = PaperAccount([(100, 100, 50, 100), (100, 101, 99, 100), QUIET])
    account.clock = hour(1)
    entry = account.buy(stop_loss=Decimal(98))
    (stop,) = account.adopt(entry)
    account.clock = hour(3)
    assert account.look(stop).status is OrderStatus.ACKNOWLEDGED


def test_a_moved_trigger_holds_from_then_on_alone() -> None:
    account, stop = protected([(100, 104, 99, 104), (104, 105, 102, 104), (104, 104, 103.4, 104)])
    account.clock = hour(2)
    account.amend(stop, "101")  # the candle before had a low of 99
    assert account.look(stop).reason == "rests at 101"
    account.clock = hour(3)
    assert account.look(stop).status is OrderStatus.ACKNOWLEDGED
    account.amend(stop, "103.5")
    account.clock = hour(4)
    report = account.look(stop)
    assert (report.trigger, [each.price for each in report.fills]) == (Decimal("103.5"), [Decimal("103.5")])


def test_a_trigger_that_is_moved_beyond_the_market_fills_at_the_next_open() -> None:
    account, stop = protected([(100, 110, 99, 100), (100.5, 101, 100, 101)])
    account.clock = hour(2)
    account.amend(stop, "105")
    account.clock = hour(3)
    assert [each.price for each in account.look(stop).fills] == [Decimal("100.5")]


def test_only_a_stop_that_rests_can_be_moved() -> None:
    account, stop = protected([(100, 101, 97, 99)])
    account.clock = hour(2)
    account.refresh()
    with pytest.raises(VenueRefused, match="no stop that rests"):
        account.venue().amend(account.working(stop), Decimal(99))


@pytest.mark.parametrize(
    ("low", "status"), [(97, OrderStatus.FILLED), (99, OrderStatus.CANCELLED)], ids=["touched", "untouched"]
)
def test_a_cancelled_stop_is_gone_unless_it_was_touched_before(low: float, status: OrderStatus) -> None:
    account, stop = protected([(100, 101, low, 99), (99, 99, 90, 95)])
    account.clock = hour(2)
    account.cancel(stop)
    account.clock = hour(3)  # the low after the cancellation changes nothing, however late it is asked
    account.refresh()
    assert account.working(stop).order.status is status


def test_a_cancelled_entry_is_filled_no_more() -> None:
    account = PaperAccount([QUIET] * 5, [10] * 5, participation=0.1)
    account.clock = hour(1)
    entry = account.buy("3", stop_loss=Decimal(98))
    account.cancel(entry)
    account.clock = hour(4)
    account.refresh()
    order = account.working(entry).order
    assert (order.status, order.filled) == (OrderStatus.CANCELLED, Decimal(1))
    assert order.reason == "cancelled: not wanted any more, after 1 of 3 BTC"
    assert [each.quantity for each in account.venue().stops_of(account.working(entry))] == [1]


def test_a_cancellation_by_a_clock_that_is_ahead_holds_at_once() -> None:
    """A person's clock is years ahead of an account on history."""
    account, stop = protected([(100, 101, 99, 99), QUIET])
    account.journal.request_cancel(stop.intent_id, "kill", hour(10_000))
    account.clock = hour(2)
    account.refresh()
    assert account.working(stop).order.status is OrderStatus.CANCELLED


def test_a_stop_larger_than_the_liquidity_goes_on_at_the_next_opens() -> None:
    rows: list[Row] = [(100, 101, 97, 98.5), (99, 99, 99, 99), (96, 96, 96, 96)]
    account, stop = protected(rows, volumes=[10, 2, 5, 1], participation=0.1)
    account.participation = 0.03
    account.clock = hour(4)
    report = account.look(stop)
    assert [(each.price, each.quantity) for each in report.fills] == [
        (Decimal(98), Decimal("0.3")), (Decimal(99), Decimal("0.06")), (Decimal(96), Decimal("0.15")),
    ]  # fmt: skip
    assert report.status is OrderStatus.PARTLY_FILLED


# --- levels after the fill


def test_an_entry_that_is_filled_beyond_its_stop_is_protected_at_the_moved_stop() -> None:
    """Decided at 100 with a stop at 98, filled at 97.9: moved to 95.9 it rests; nothing has been sold."""
    account, stop = _gapped()
    position = account.journal.positions(ACCOUNT)[0]
    assert position.stop_loss == Decimal("95.9")
    account.amend(stop, position.stop_loss)
    account.clock = hour(2)
    assert account.look(stop).status is OrderStatus.ACKNOWLEDGED


def test_an_entry_that_is_filled_beyond_its_stop_is_closed_where_nobody_moves_it() -> None:
    account, _ = _gapped()
    account.clock = hour(2)
    account.refresh()
    assert account.journal.positions(ACCOUNT) == []
    assert [each.price for each in account.journal.fills(ACCOUNT)] == [Decimal("97.9")] * 2


def _gapped() -> tuple[PaperAccount, OrderIntent]:
    account = PaperAccount([QUIET, (97.9, 99, 96, 99), QUIET])
    account.clock = hour(1)
    entry = account.buy(stop_loss=Decimal(98), entry_price=Decimal(100))
    (stop,) = account.adopt(entry)
    return account, stop


# --- its books


def test_fills_have_ids_that_follow_from_their_order() -> None:
    account, stop = protected([(100, 101, 97, 99)])
    account.clock = hour(2)
    account.refresh()
    fills: list[Fill] = account.journal.fills(ACCOUNT)
    assert [each.fill_id for each in fills] == ["intent-1-1", f"{stop.intent_id}-1"]
