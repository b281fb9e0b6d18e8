"""What is missing between two messages is found, whatever the order in which they come."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.events import Channel, Trade, Unknown
from streaming.session.gaps import MessageNumbers, Step, TradeOrder
from tests.streaming.session.session_fakes import BTC, at, trade

PATIENCE = 2.0


def order_after(*numbers: int) -> TradeOrder:
    order = TradeOrder(PATIENCE)
    assert list(order.offer([trade(number) for number in numbers], 0)) == [
        trade(number) for number in numbers
    ]
    return order


def test_trades_of_a_snapshot_that_begins_with_the_newest_are_put_in_order() -> None:
    order = TradeOrder(PATIENCE)
    assert list(order.offer([trade(3), trade(1), trade(2)], 0)) == [trade(1), trade(2), trade(3)]


def test_a_trade_that_came_twice_is_told_once() -> None:
    order = order_after(1, 2)
    assert list(order.offer([trade(2), trade(1), trade(3)], 0)) == [trade(3)]


def test_a_trade_that_overtook_another_waits_for_it() -> None:
    order = order_after(1)
    assert list(order.offer([trade(3)], 0)) == []
    assert list(order.overdue(PATIENCE - 0.1)) == []
    assert list(order.offer([trade(2)], PATIENCE - 0.1)) == [trade(2), trade(3)]


def test_what_has_not_come_in_time_is_unknown_between_its_neighbours() -> None:
    order = order_after(1)
    list(order.offer([trade(4), trade(5)], 0))
    unknown = Unknown(Channel.TRADE, BTC, at(1), at(4), "trades 2 to 3 are missing")
    assert list(order.overdue(PATIENCE)) == [unknown, trade(4), trade(5)]


def test_a_trade_that_was_given_up_is_not_told_out_of_order() -> None:
    order = order_after(1)
    list(order.offer([trade(3)], 0))
    list(order.overdue(PATIENCE))
    assert list(order.offer([trade(2)], PATIENCE)) == []


def test_each_gap_waits_for_its_own_time() -> None:
    order = order_after(1)
    list(order.offer([trade(3)], 0))
    list(order.offer([trade(5)], 1))
    assert list(order.overdue(2))[1:] == [trade(3)]
    assert list(order.overdue(3))[1:] == [trade(5)]


def test_ids_that_begin_again_are_followed_from_there() -> None:
    order = order_after(1_000, 1_001)
    again = trade(1, second=1_100)
    unknown = Unknown(Channel.TRADE, BTC, at(1_001), at(1_100), "trade ids began again at 1")
    assert list(order.offer([again], 0)) == [unknown, again]
    assert list(order.offer([trade(2, second=1_101)], 0)) == [trade(2, second=1_101)]


def test_no_more_than_a_thousand_trades_are_held_back() -> None:
    order = order_after(1)
    told = [event for number in range(3, 1_200) for event in order.offer([trade(number)], 0)]
    assert isinstance(told[0], Unknown)
    assert told[-1] == trade(1_199)


def test_trades_without_ids_pass_as_they_are() -> None:
    order = TradeOrder(PATIENCE)
    assert list(order.offer([trade(None), trade(None)], 0)) == [trade(None), trade(None)]
    assert not order.counts


@given(
    deliveries=st.lists(
        st.tuples(st.integers(0, 40), st.floats(0, 3, allow_nan=False)), min_size=1, max_size=120
    ),
    sizes=st.lists(st.integers(1, 5), min_size=120, max_size=120),
)
def test_however_trades_are_lost_repeated_and_reordered_each_is_told_once_in_order_or_lies_in_the_unknown(
    deliveries: list[tuple[int, float]], sizes: list[int]
) -> None:
    order, now, told = TradeOrder(PATIENCE), 0.0, list[Trade | Unknown]()
    told += order.offer([trade(0)], now)
    left = list(deliveries)
    for size in sizes:
        group, left = left[:size], left[size:]
        now += sum(pause for _, pause in group[:1])
        told += order.overdue(now)
        told += order.offer([trade(number, number / 10) for number, _ in group], now)
    told += order.flush()
    ids = [event.trade_id for event in told if isinstance(event, Trade)]
    assert ids == sorted(set(ids))
    spans = [(event.since, event.until) for event in told if isinstance(event, Unknown)]
    newest = max(number for number in ids if number is not None)
    assert newest == max(0, *(number for number, _ in deliveries))
    for number in set(range(newest)) - set(ids):
        assert any(since <= at(number / 10) <= until for since, until in spans), number
    for since, until in spans:
        lost = [n for n in range(newest) if n not in ids and since < at(n / 10) < until]
        assert lost, "nothing is missing there"


@given(st.permutations(range(1, 20)), st.data())
def test_trades_that_are_late_by_less_than_the_patience_are_all_told(
    numbers: list[int], data: st.DataObject
) -> None:
    order, told = TradeOrder(PATIENCE), list[Trade | Unknown]()
    told += order.offer([trade(0)], 0)
    repeated = data.draw(st.lists(st.sampled_from(numbers)))
    for step, number in enumerate([*numbers, *repeated]):
        now = step * PATIENCE / 100
        told += order.overdue(now)
        told += order.offer([trade(number)], now)
    assert told == [trade(number) for number in range(20)]


def test_numbers_that_rise_by_one_are_next_and_anything_else_is_named() -> None:
    numbers = MessageNumbers()
    assert numbers.step(7, snapshot=True, frame=1) is Step.NEXT
    assert numbers.step(7, snapshot=False, frame=1) is Step.NEXT  # another event of the same message
    assert numbers.step(8, snapshot=False, frame=2) is Step.NEXT
    assert numbers.step(8, snapshot=False, frame=3) is Step.REPEATED
    assert numbers.step(6, snapshot=False, frame=4) is Step.EARLIER
    assert numbers.step(10, snapshot=False, frame=5) is Step.GAP
    assert numbers.step(3, snapshot=True, frame=6) is Step.NEXT
    assert numbers.step(4, snapshot=False, frame=7) is Step.NEXT
