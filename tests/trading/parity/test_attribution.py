"""Each way in which a day can differ from its back-test is that kind's part, and the parts add up whatever happened."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.parity.parity_days import FLAT, MIDNIGHT, PAIR, Candle, at, buy, day, order, rows, sell
from trading.backtest import LEAVE_LONG, LEAVE_SHORT
from trading.orders import Side
from trading.parity import Change, Kind, LiveOrder, Origin, PairDay, PairParity, Row, attribute
from trading.portfolio import Position
from trading.portfolio.exact import exactly

RISING: list[Candle] = [(100 + hour, 102 + hour, 99.5 + hour, 101 + hour) for hour in range(8)]
LONG = Row(0.1, 0.05, 0.5)
WANTED = replace(LONG, quantity=Decimal(1))
ENTERED = buy((1, "1", "101.101"), decided=1)  # the open of candle 2 is 101, 0.1 % worse


def parts(result: PairParity) -> dict[Kind, Decimal]:
    """Those that are not zero. What a float rounds off, less than a part in 10^12, may lie in between."""
    with exactly():
        assert sum(result.parts.values()) == result.difference
    return {kind: amount for kind, amount in result.parts.items() if abs(amount) > Decimal("1e-9")}


def long_day(*orders: LiveOrder, planned: Any = LONG, ordered: Row = WANTED, **more: Any) -> PairParity:
    """Candle 1 says long, and what was ordered has one bitcoin."""
    market = day(RISING)
    changes = [Change(Kind.RISK, 1, ordered), *more.pop("changes", [])]
    return attribute(market, rows(9, {1: planned, **more.pop("others", {})}), changes, orders, **more)


def test_a_day_like_its_back_test_has_no_parts() -> None:
    market = day(RISING)
    sized = replace(LONG, target=0.1)
    result = attribute(market, rows(9, {1: sized}), [Change(Kind.RISK, 1, WANTED)], [ENTERED])
    assert set(parts(result)) == {Kind.RISK}  # sized by the whole account
    assert result.parts[Kind.UNEXPLAINED] == 0


def test_a_candle_that_nobody_decided_on_is_missed() -> None:
    result = attribute(day(RISING), rows(9, {1: LONG}), [Change(Kind.MISSED, 1, Row(), "no decision")], [])
    assert set(parts(result)) == {Kind.MISSED}
    assert result.live == 0
    assert [cause.words for cause in result.causes] == ["no decision"]


@pytest.mark.parametrize("kind", [Kind.RESTATED, Kind.SIGNAL, Kind.LLM, Kind.UNEXPLAINED])
def test_a_vote_that_was_another_one_is_its_causes(kind: Kind) -> None:
    result = attribute(day(RISING), rows(9, {1: LONG}), [Change(kind, 1, Row(), "why")], [])
    assert set(parts(result)) == {kind}


def test_what_risk_refused_is_risks() -> None:
    assert set(parts(long_day(ordered=Row()))) == {Kind.RISK}


def test_what_the_back_test_alone_refuses_is_risks() -> None:
    market = day(RISING)
    pausing = replace(market, rules=replace(market.rules, shorts=False))
    short = Row(-0.1)
    changes = [Change(Kind.RISK, 1, replace(short, quantity=Decimal(1)))]
    result = attribute(
        pausing, rows(9, {1: short}), changes, [order(Side.SELL, (1, "1", "100.899"), decided=1)]
    )
    assert result.backtest == 0
    assert set(parts(result)) == {Kind.RISK}


def test_an_order_that_was_never_filled_is_missed() -> None:
    found = parts(long_day(buy(decided=1)))
    assert set(found) == {Kind.RISK, Kind.MISSED}


def test_the_part_that_was_not_filled_is_missed() -> None:
    result = long_day(buy((1, "0.25", "101.101"), decided=1))
    assert set(parts(result)) == {Kind.RISK, Kind.MISSED}
    whole = long_day(ENTERED)
    assert result.parts[Kind.MISSED] == pytest.approx(-Decimal("0.75") * whole.live, rel=Decimal("1e-9"))


def test_an_order_that_was_filled_later_is_late_and_waits_with_all_that_follows() -> None:
    result = long_day(buy((4, "1", "104.104"), decided=1), others={2: LONG}, waiting={2: "an order"})
    assert set(parts(result)) == {Kind.RISK, Kind.LATE}
    assert result.parts[Kind.LATE] < 0  # the price has risen
    assert [cause.words for cause in result.causes if cause.kind is Kind.LATE] == [
        "an order",
        "buy 1 BTC, decided on the candle that had closed by 01:00, was filled in a later one than the next",
    ]


def test_a_wait_during_which_nothing_would_have_been_entered_is_not_told() -> None:
    assert not long_day(ENTERED, waiting={3: "an order"}).parts[Kind.LATE]
    assert not any(cause.kind is Kind.LATE for cause in long_day(ENTERED, waiting={3: "an order"}).causes)


def test_an_order_of_the_evening_before_is_late() -> None:
    evening = buy((0, "1", "100.1"), origin=Origin.EARLIER, entry_price=Decimal(100), stop_loss=Decimal(95))
    result = attribute(day(RISING), rows(9, {}), [], [evening])
    assert set(parts(result)) == {Kind.LATE}


def test_the_rest_that_was_filled_in_later_candles_is_late() -> None:
    result = long_day(buy((1, "0.5", "101.101"), (2, "0.5", "102.102"), decided=1))
    assert set(parts(result)) == {Kind.RISK, Kind.LATE}
    assert result.parts[Kind.LATE] == pytest.approx(Decimal("-0.5005"), rel=Decimal("0.01"))


def test_another_price_and_another_fee_are_told_apart() -> None:
    result = long_day(buy((1, "1", "101.5"), decided=1, fee="0.5"))
    assert set(parts(result)) == {Kind.RISK, Kind.FILL_PRICE, Kind.FEE}
    assert result.parts[Kind.FILL_PRICE] == (Decimal("101.101") - Decimal("101.5")) * Decimal("1.004")
    assert result.parts[Kind.FEE] == Decimal("0.406") - Decimal("0.5")


def test_a_fee_in_the_base_asset_counts_at_the_days_last_price() -> None:
    result = long_day(buy((1, "1", "101.101"), decided=1, fee="0.01", fee_asset="BTC"))
    assert result.parts[Kind.FEE] == pytest.approx(Decimal("0.404404") - Decimal("1.08"))


# --- protection

FALLING: list[Candle] = [FLAT] * 2 + [(100, 100, 94, 96), (96, 97, 90, 91), (91, 91, 85, 86)]
STOPPED = sell((2.5, "1", "94.905"), origin=Origin.PROTECTION, trigger=Decimal("95.095"))
BOUGHT = buy((1, "1", "100.1"), decided=1)


def stopped(*orders: LiveOrder) -> PairParity:
    return attribute(day(FALLING), rows(6, {1: LONG}), [Change(Kind.RISK, 1, WANTED)], orders)


def test_a_stop_in_the_candle_of_the_back_test_differs_by_its_price_alone() -> None:
    found = parts(stopped(BOUGHT, STOPPED))
    assert set(found) == {Kind.RISK, Kind.FILL_PRICE}
    assert abs(found[Kind.FILL_PRICE]) < Decimal("0.1")


def test_a_stop_that_closed_in_another_candle_is_the_guards() -> None:
    late = sell((3, "1", "92"), origin=Origin.PROTECTION, trigger=Decimal("95.095"))
    found = parts(stopped(BOUGHT, late))
    assert set(found) == {Kind.RISK, Kind.GUARD}
    assert found[Kind.GUARD] < -2


def test_a_stop_that_was_touched_in_the_back_test_alone_is_the_guards() -> None:
    assert set(parts(stopped(BOUGHT))) == {Kind.RISK, Kind.GUARD}


def test_what_follows_from_another_exit_is_the_guards_too() -> None:
    """The stop was missing, so that the account still held what the back-test entered anew."""
    again = rows(6, {1: LONG, 3: LONG})
    result = attribute(day(FALLING), again, [Change(Kind.RISK, 1, WANTED)], [BOUGHT])
    assert set(parts(result)) == {Kind.RISK, Kind.GUARD}


@pytest.mark.parametrize("hour", [1.5, 2.5], ids=["in the candle of its entry", "in the next one"])
def test_what_a_kill_closed_is_risks(hour: float) -> None:
    killed = sell((hour, "1", "99.9"), origin=Origin.FORCED)
    assert set(parts(stopped(BOUGHT, killed))) == {Kind.RISK}


def test_what_was_held_in_the_morning_is_closed_like_what_was_bought() -> None:
    held = Position("a", PAIR, Decimal(1), Decimal(90), Decimal(95), None, MIDNIGHT)
    market = day(FALLING, position=held)
    stop = replace(STOPPED, fills=(replace(STOPPED.fills[0], price=Decimal("94.905")),))
    result = attribute(market, rows(6, {}), [], [stop])
    assert result.backtest == pytest.approx(Decimal("8.525"), rel=Decimal("0.01"))
    assert parts(result) == {}


# --- what a person has approved


def test_an_order_that_a_person_approved_is_the_persons() -> None:
    result = attribute(day(RISING), rows(9, {}), [], [buy((1, "1", "101.101"), origin=Origin.PERSON)])
    assert set(parts(result)) == {Kind.PERSON}
    assert result.parts[Kind.PERSON] == result.live != 0
    assert result.causes[0].words.startswith("a person approved buy 1 BTC")


def test_what_the_back_test_could_not_enter_beside_a_persons_position_is_the_persons() -> None:
    bought = buy((1, "1", "101.101"), origin=Origin.PERSON)
    result = attribute(day(RISING), rows(9, {3: LONG}), [], [bought])
    assert result.backtest != 0
    assert set(parts(result)) == {Kind.PERSON}


@pytest.mark.parametrize("hour", [1, 1.5], ids=["at the open", "in mid-candle"])
def test_what_a_person_closed_is_the_persons(hour: float) -> None:
    closed = sell((hour, "1", "99.9"), origin=Origin.PERSON)
    assert set(parts(stopped(BOUGHT, closed))) <= {Kind.RISK, Kind.PERSON, Kind.FILL_PRICE}
    assert parts(stopped(BOUGHT, closed))[Kind.PERSON]


def test_what_a_person_opened_in_the_candle_of_a_decisions_stop_is_the_persons() -> None:
    """A back-test has one entry in a candle: the person's is the account's alone."""
    stop = replace(STOPPED, fills=(replace(STOPPED.fills[0], filled_at=at(1.5)),))
    anew = buy((1.75, "1", "99"), origin=Origin.PERSON)
    assert set(parts(stopped(BOUGHT, stop, anew))) <= {Kind.RISK, Kind.GUARD, Kind.PERSON, Kind.FILL_PRICE}


def test_a_persons_stop_in_another_candle_is_the_guards() -> None:
    bought = buy(
        (1, "1", "100.1"), origin=Origin.PERSON, stop_loss=Decimal("95.095"), entry_price=Decimal("100.1")
    )
    late = sell((3, "1", "92"), origin=Origin.PROTECTION, trigger=Decimal("95.095"))
    found = parts(attribute(day(FALLING), rows(6, {}), [], [bought, late]))
    assert set(found) == {Kind.PERSON, Kind.GUARD}


# --- what nobody can explain


def test_a_fill_that_no_decision_asked_for_is_unexplained() -> None:
    result = attribute(day(RISING), rows(9, {}), [], [buy((1, "1", "101.101"), origin=Origin.UNKNOWN)])
    assert set(parts(result)) == {Kind.UNEXPLAINED}
    assert result.parts[Kind.UNEXPLAINED] == result.live
    assert "nothing that is recorded asked for it" in result.causes[0].words


def test_an_order_larger_than_what_was_decided_is_unexplained() -> None:
    result = long_day(buy((1, "2", "101.101"), decided=1))
    assert set(parts(result)) == {Kind.RISK, Kind.UNEXPLAINED}


def after_a_late_stop(*orders: LiveOrder, again: int = 6, leaves: int = 8) -> PairParity:
    """The back-test stops in candle 3, the account in a later one; then both may buy one bitcoin again."""
    candles = [*FALLING, *[(86, 87, 85.5, 86)] * 6]
    late = sell((3, "1", "92"), origin=Origin.PROTECTION, trigger=Decimal("95.095"))
    ordered = {1: WANTED, again: WANTED, leaves: Row(leaves=LEAVE_LONG)}
    changes = [Change(Kind.RISK, candle, row) for candle, row in ordered.items()]
    return attribute(day(candles), rows(12, {1: LONG}), changes, [BOUGHT, late, *orders])


def test_what_is_traded_as_decided_after_a_late_stop_is_explained() -> None:
    again = buy((6, "1", "86.086"), decided=6), sell((8, "1", "85.914"), decided=8)
    assert set(parts(after_a_late_stop(*again))) == {Kind.RISK, Kind.GUARD}


def test_a_larger_order_than_decided_is_unexplained_after_a_late_stop_too() -> None:
    found = parts(
        after_a_late_stop(
            buy((6, "5", "86.086"), decided=6, quantity="5"), sell((8, "5", "85.914"), decided=8)
        )
    )
    without = parts(
        after_a_late_stop(buy((6, "1", "86.086"), decided=6), sell((8, "1", "85.914"), decided=8))
    )
    assert found[Kind.GUARD] == without[Kind.GUARD]
    assert found[Kind.UNEXPLAINED] < -3  # four bitcoins' spread and fees


def test_a_larger_order_is_unexplained_where_the_back_test_holds_something_else() -> None:
    """The stop came so late that the back-test had entered anew: the next entry is the account's alone."""
    candles = [*FALLING, *[(86, 87, 85.5, 86)] * 4]
    late = sell((4, "1", "90"), origin=Origin.PROTECTION, trigger=Decimal("95.095"))
    wide = replace(WANTED, stop=0.5, take_profit=float("nan"))
    changes = [Change(Kind.RISK, candle, row) for candle, row in {1: WANTED, 3: wide, 6: WANTED}.items()]

    def audited(quantity: str) -> dict[Kind, Decimal]:
        order = buy((6, quantity, "86.086"), decided=6, quantity=quantity)
        return parts(attribute(day(candles), rows(10, {1: LONG}), changes, [BOUGHT, late, order]))

    assert Kind.UNEXPLAINED not in audited("1")
    assert Kind.UNEXPLAINED in audited("5")


def test_a_larger_order_is_unexplained_in_the_very_candle_of_a_late_stop() -> None:
    candles = [*FALLING, *[(86, 87, 85.5, 86)] * 4]
    late = sell((6, "1", "85"), origin=Origin.PROTECTION, trigger=Decimal("95.095"))
    changes = [Change(Kind.RISK, candle, WANTED) for candle in (1, 6)]
    bought = buy((6.5, "5", "86.086"), decided=6, quantity="5")
    found = parts(attribute(day(candles), rows(10, {1: LONG}), changes, [BOUGHT, late, bought]))
    assert found[Kind.UNEXPLAINED] < 0


def test_what_differs_once_both_are_flat_again_does_not_follow_from_a_late_stop() -> None:
    stray = buy((6, "1", "86.086"), decided=6), sell((8, "1", "85.914"), decided=8)
    found = parts(after_a_late_stop(*stray, again=2, leaves=3))
    assert found[Kind.UNEXPLAINED] < 0


def test_an_exit_that_the_decision_did_not_ask_for_is_unexplained() -> None:
    result = long_day(ENTERED, sell((4, "1", "103.896"), decided=4))
    assert Kind.UNEXPLAINED in parts(result)


def test_selling_more_than_was_held_is_unexplained() -> None:
    result = long_day(
        ENTERED, sell((4, "3", "103.896"), decided=4), changes=[Change(Kind.RISK, 4, Row(leaves=LEAVE_LONG))]
    )
    assert Kind.UNEXPLAINED in parts(result)


# --- whatever happens

RANDOM_ROW = st.builds(
    Row,
    target=st.sampled_from([float("nan"), 0.1, 0.2, -0.1]),
    stop=st.sampled_from([float("nan"), 0.01, 0.05]),
    take_profit=st.sampled_from([float("nan"), 0.02, 0.1]),
    leaves=st.sampled_from([0, LEAVE_LONG, LEAVE_SHORT]),
    quantity=st.sampled_from([None, Decimal("0.5"), Decimal("1.37")]),
)
HOURS = 8
FILLS = st.lists(
    st.tuples(
        st.floats(0, HOURS - 0.01),
        st.sampled_from(["0.1", "0.5", "1.37"]),
        st.sampled_from(["90", "100.123", "111"]),
    ),
    max_size=3,
).map(sorted)


@st.composite
def random_order(draw: st.DrawFn) -> LiveOrder:
    return order(
        draw(st.sampled_from(Side)),
        *draw(FILLS),
        decided=draw(st.one_of(st.none(), st.integers(0, HOURS - 1))),
        origin=draw(st.sampled_from(Origin)),
        reduces=draw(st.booleans()),
        fee=draw(st.sampled_from(["0", "0.31"])),
        fee_asset=draw(st.sampled_from(["USDT", "BTC", "KFEE"])),
    )


@st.composite
def random_day(draw: st.DrawFn) -> PairDay:
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    opened = 100 * np.exp(np.cumsum(random.normal(0, 0.02, HOURS)))
    candles = [(price, price * 1.02, price * 0.98, price * random.uniform(0.99, 1.01)) for price in opened]
    side = draw(st.sampled_from([0, 1, -1]))
    held = (
        Position("a", PAIR, Decimal(side), Decimal(100), Decimal(100 - 3 * side), None, MIDNIGHT)
        if side
        else None
    )
    return day(
        candles,
        position=held,
        base_rate=Decimal("97.1"),
        quote_rate=draw(st.sampled_from([Decimal(1), Decimal("0.3")])),
    )


@settings(deadline=None, max_examples=300)
@given(
    random_day(),
    st.lists(RANDOM_ROW, min_size=HOURS + 1, max_size=HOURS + 1),
    st.lists(st.builds(Change, st.sampled_from(Kind), st.integers(0, HOURS), RANDOM_ROW), max_size=6),
    st.lists(random_order(), max_size=4),
    st.sets(st.integers(0, HOURS), max_size=2),
)
def test_the_parts_always_add_up_to_the_difference_and_live_is_what_the_fills_brought(
    market: PairDay,
    planned: Sequence[Row],
    changes: Sequence[Change],
    orders: list[LiveOrder],
    waiting: set[int],
) -> None:
    result = attribute(market, planned, changes, orders, waiting=dict.fromkeys(waiting, "an order"))
    with exactly():
        assert sum(result.parts.values()) == result.live - result.backtest
    brought = Decimal(0)
    for fill in (fill for each in orders for fill in each.fills):
        fee = fill.fee * market.fee_rates.get(fill.fee_asset, Decimal(0))
        brought += fill.side.sign * fill.quantity * (market.base_rate - fill.price * market.quote_rate) - fee
    assert result.live == pytest.approx(brought, abs=Decimal("1e-20"))


def test_the_market_of_these_tests_stands_still_before_the_day() -> None:
    assert day(RISING).close_time(0) == MIDNIGHT
    assert day([FLAT]).candle_at(MIDNIGHT) == 1
