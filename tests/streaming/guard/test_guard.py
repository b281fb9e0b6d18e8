"""What the guard finds on the newest quotes, and what it leaves alone."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from streaming.session.output import TopOfBook
from tests.streaming.guard.guard_case import (
    BTC,
    CROSS,
    ETH,
    NOON,
    RULES,
    Case,
    bare,
    position,
    view,
    working,
)
from trading.market import Pair
from trading.orders import OrderStatus


def test_a_long_is_worth_its_bid() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(109.95)  # the ask is above the target
    assert case.reason() == ""
    case.look(110.0)
    assert case.reason() == "take-profit 110 was touched (at 110.0)"


def test_a_short_is_bought_back_at_the_ask() -> None:
    case = Case()
    case.guard.learn(view(position(side=-1)))
    case.look(89.95)  # the bid is below the target
    assert case.reason() == ""
    case.look(89.9)
    assert case.reason() == "take-profit 90 was touched (at 90.0)"


def test_a_wick_of_one_tick_between_two_looks_touches_the_target() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(104.0, 110.5, 103.5)
    assert case.reason() == "take-profit 110 was touched (at 110.5)"


def test_when_the_price_passes_stop_and_target_between_two_looks_the_stop_counts() -> None:
    case = Case()
    case.guard.learn(bare(position()))
    case.look(110.5, 97.0, 104.0)
    assert case.reason().startswith("stop-loss 98 was touched (at 97")


def test_a_stop_that_rests_at_the_venue_is_the_venue_s_to_fill() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(97.0)
    assert case.findings == ()


def test_a_stop_that_is_to_leave_the_venue_protects_nothing_any_more() -> None:
    case = Case()
    (resting,) = view(position()).working
    leaving = replace(resting, order=replace(resting.order, cancel_reason="more rests than is held"))
    case.guard.learn(view(position(), working=(leaving,)))
    case.look(97.0)
    assert case.reason().startswith("stop-loss")


def test_the_price_that_stands_is_that_of_the_position_s_side_as_well() -> None:
    case = Case()
    case.look(109.95)  # the ask is beyond the long's target
    case.look(89.95, pair=BTC)  # the bid is beyond the short's
    case.guard.learn(view(position(), position(BTC, -1)))
    case.look()
    assert [each.exit_reason for each in case.findings] == ["", ""]  # stops that trail


@pytest.mark.parametrize(("side", "beyond", "back"), [(1, 97.5, 98.5), (-1, 102.5, 101.5)])
def test_a_resting_stop_that_does_not_fire_is_not_waited_for_for_ever(
    side: int, beyond: float, back: float
) -> None:
    case = Case()
    case.guard.learn(view(position(side=side)))
    case.look(beyond)
    case.look(seconds=9.8)  # no news: the price is where it was
    assert case.reason() == ""
    case.look(back)
    case.look(beyond)
    case.look(seconds=9.9)
    assert case.reason() == ""
    case.look(seconds=0.2)
    assert "has been beyond the stop" in case.reason()
    assert "did not fire" in case.reason()


def test_how_long_the_price_was_beyond_a_stop_is_not_counted_while_it_is_not_seen() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(97.0)
    case.unseen[ETH] = "feed"
    case.look(seconds=60)
    case.unseen.clear()
    case.look(seconds=0.1)
    case.look(seconds=9.9)
    assert case.reason() == ""
    case.look(seconds=0.2)
    assert "did not fire" in case.reason()


@pytest.mark.parametrize(("side", "best", "level"), [(1, 105.0, "103.0"), (-1, 94.9, "97.0")])
def test_the_stop_trails_the_best_price_and_is_stored_at_most_so_often(
    side: int, best: float, level: str
) -> None:
    case = Case()
    case.guard.learn(view(position(side=side)))
    case.look(best)
    (stored,) = case.store()
    assert stored.stop_loss == Decimal(level)
    assert stored.stop_since == case.at
    case.look(best + side)
    assert case.findings == ()
    case.look(seconds=RULES.trail_seconds)
    (again,) = case.findings
    assert again.stop_loss == Decimal(level) + side


def test_less_than_a_step_of_the_price_is_not_worth_a_write() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(105.0)
    case.store()
    case.look(105.05, seconds=60)
    assert case.findings == ()
    case.look(105.1, seconds=60)
    assert len(case.findings) == 1


def test_a_stop_that_moved_in_memory_alone_is_the_one_that_counts() -> None:
    case = Case()
    case.guard.learn(bare(position()))
    case.look(105.0)
    case.store()
    case.look(107.0)  # not stored yet
    case.look(104.9)
    assert case.reason().startswith("trailing stop 105.0 was touched")


def test_a_new_process_goes_on_with_the_trail_that_is_stored() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(106.0)
    (stored,) = case.store()
    case.begin()
    case.guard.learn(bare(stored))
    case.look(103.9)
    assert case.reason().startswith("trailing stop 104.0 was touched")


def test_a_touch_stays_whatever_the_price_does_and_whatever_is_read_meanwhile() -> None:
    case = Case()
    held = position()
    case.guard.learn(view(held))
    case.look(110.5)
    case.look(104.0)
    case.guard.learn(view(held))  # read before the touch was stored
    case.guard.learn(view(replace(held, quantity=Decimal("0.4"))))  # its stop has closed a part
    assert case.reason().startswith("take-profit")
    assert case.findings[0].quantity == Decimal("0.4")
    assert case.guard.to_close == []  # not before the journal has it
    case.store()
    assert case.guard.to_close == [ETH]
    case.guard.learn(view())
    assert case.findings == ()
    assert case.guard.to_close == []


def test_a_position_whose_exit_is_under_way_is_left_alone() -> None:
    case = Case()
    touched = position(exit_reason="take-profit")
    case.guard.learn(view(touched, working=(working("exit", status=OrderStatus.INTENDED),)))
    case.look(97.0)
    assert case.findings == ()
    assert case.guard.to_close == []


def test_a_reason_to_close_that_the_candles_found_is_followed_at_once() -> None:
    case = Case()
    case.guard.learn(view(position(exit_reason="take-profit 110 was touched (at 111)")))
    case.look(104.0)
    assert case.guard.to_close == [ETH]


def test_levels_that_the_executor_has_stored_are_taken_where_they_are_nearer() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(105.0)
    case.store()
    walked = position(
        stop_loss=Decimal(104), best_price=Decimal(106), checked_until=NOON + timedelta(minutes=1)
    )
    case.guard.learn(bare(walked))
    case.look(103.9)
    assert case.reason().startswith("trailing stop 104 was touched")


def test_another_position_of_the_pair_begins_with_its_own_levels() -> None:
    case = Case()
    case.guard.learn(view(position()))
    case.look(106.0)
    case.guard.learn(bare(position(opened_at=NOON + timedelta(seconds=5))))
    case.look(102.9)
    assert case.findings == ()


def test_prices_from_before_a_position_are_not_compared_with_it() -> None:
    case = Case()
    case.look(111.0, 97.0)
    case.guard.learn(bare(position()))
    case.look(100.0)
    assert case.findings == ()


def test_a_price_that_stood_beyond_a_level_before_the_position_was_known_counts() -> None:
    case = Case()
    case.look(110.5)
    case.guard.learn(view(position()))
    case.look()  # no news
    assert case.reason().startswith("take-profit")


@pytest.mark.parametrize("reason", ["feed", "book", "venue"])
def test_on_prices_that_may_be_old_nothing_is_done_and_it_is_counted(reason: str) -> None:
    case = Case()
    case.guard.learn(bare(position()))
    case.unseen[ETH] = reason
    case.look(97.0)
    assert case.findings == ()
    assert case.guard.blind == {ETH: reason}
    assert case.guard.refusals[str(ETH), reason] == 1
    case.unseen.clear()
    case.look(100.0)
    assert case.findings == ()  # the low of before is gone
    assert case.guard.blind == {}
    case.look(97.9)
    assert case.reason().startswith("stop-loss")


def test_a_quote_that_is_too_wide_is_no_price() -> None:
    case = Case()
    case.guard.learn(bare(position()))
    case.look(100.0)
    case.look(90.0, spread=10.2)  # the makers have gone for a moment
    assert case.findings == ()
    assert case.guard.blind == {ETH: "spread"}
    case.look(99.9)
    assert case.findings == ()
    assert case.guard.blind == {}


def test_an_empty_side_of_the_book_is_no_price() -> None:
    case = Case()
    case.guard.learn(bare(position()))
    case.look(100.0)
    case.quotes.observe(TopOfBook(ETH, None, (Decimal(101), Decimal(1)), None))
    case.look()
    assert case.guard.blind == {ETH: "spread"}


def test_a_pair_without_a_quote_and_one_that_is_not_streamed_are_named() -> None:
    case = Case(pairs=(ETH,))
    other = Pair("DOGE", "USDT")
    case.guard.learn(bare(position(), position(other)))
    case.look()
    assert case.guard.blind == {ETH: "no quote yet", other: "not streamed"}


def test_on_paper_candles_move_the_stop_and_fill_it_and_the_target_counts() -> None:
    case = Case(rules=replace(RULES, real_time=False))
    case.guard.learn(bare(position()))
    case.look(105.0)
    case.look(97.0)
    case.look(seconds=60)
    assert case.findings == ()
    case.look(110.0)
    assert case.reason().startswith("take-profit")
    assert case.findings[0].stop_loss == 98


def test_several_positions_are_each_compared_with_their_own_pair() -> None:
    case = Case()
    case.guard.learn(bare(position(ETH), position(BTC), position(CROSS, -1)))
    for pair, bid in ((ETH, 100.0), (BTC, 110.2), (CROSS, 102.0)):
        case.quote(bid, pair=pair)
    case.look()
    assert [(each.pair, each.exit_reason.split()[0]) for each in case.findings] == [
        (BTC, "take-profit"), (CROSS, "stop-loss")
    ]  # fmt: skip
