"""Missing messages are found, whatever the order in which messages come."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.events import Channel, Trade, UnknownInterval
from streaming.session.gaps import SequenceStep, SequenceTracker, TradeSequencer
from tests.streaming.session.session_fakes import BTC, at, trade

REORDER_WINDOW = 2.0


def sequencer_after(*numbers: int) -> TradeSequencer:
    sequencer = TradeSequencer(REORDER_WINDOW)
    assert list(sequencer.add([trade(number) for number in numbers], 0)) == [
        trade(number) for number in numbers
    ]
    return sequencer


def test_trades_of_a_snapshot_that_begins_with_the_newest_are_put_in_order() -> None:
    sequencer = TradeSequencer(REORDER_WINDOW)
    assert list(sequencer.add([trade(3), trade(1), trade(2)], 0)) == [trade(1), trade(2), trade(3)]


def test_a_repeated_trade_is_passed_on_once() -> None:
    sequencer = sequencer_after(1, 2)
    assert list(sequencer.add([trade(2), trade(1), trade(3)], 0)) == [trade(3)]


def test_a_trade_that_overtook_another_waits_for_it() -> None:
    sequencer = sequencer_after(1)
    assert list(sequencer.add([trade(3)], 0)) == []
    assert list(sequencer.release_overdue(REORDER_WINDOW - 0.1)) == []
    assert list(sequencer.add([trade(2)], REORDER_WINDOW - 0.1)) == [trade(2), trade(3)]


def test_trades_that_do_not_come_in_time_are_unknown_between_their_neighbours() -> None:
    sequencer = sequencer_after(1)
    list(sequencer.add([trade(4), trade(5)], 0))
    unknown = UnknownInterval(Channel.TRADE, BTC, at(1), at(4), "trades 2 to 3 are missing")
    assert list(sequencer.release_overdue(REORDER_WINDOW)) == [unknown, trade(4), trade(5)]


def test_a_trade_after_the_reorder_window_is_dropped() -> None:
    sequencer = sequencer_after(1)
    list(sequencer.add([trade(3)], 0))
    list(sequencer.release_overdue(REORDER_WINDOW))
    assert list(sequencer.add([trade(2)], REORDER_WINDOW)) == []


def test_each_gap_waits_for_its_own_time() -> None:
    sequencer = sequencer_after(1)
    list(sequencer.add([trade(3)], 0))
    list(sequencer.add([trade(5)], 1))
    assert list(sequencer.release_overdue(2))[1:] == [trade(3)]
    assert list(sequencer.release_overdue(3))[1:] == [trade(5)]


def test_ids_that_begin_again_are_followed_from_there() -> None:
    sequencer = sequencer_after(1_000, 1_001)
    again = trade(1, second=1_100)
    unknown = UnknownInterval(Channel.TRADE, BTC, at(1_001), at(1_100), "trade ids began again at 1")
    assert list(sequencer.add([again], 0)) == [unknown, again]
    assert list(sequencer.add([trade(2, second=1_101)], 0)) == [trade(2, second=1_101)]


def test_no_more_than_a_thousand_trades_wait() -> None:
    sequencer = sequencer_after(1)
    events = [event for number in range(3, 1_200) for event in sequencer.add([trade(number)], 0)]
    assert isinstance(events[0], UnknownInterval)
    assert events[-1] == trade(1_199)


def test_trades_without_ids_pass_as_they_are() -> None:
    sequencer = TradeSequencer(REORDER_WINDOW)
    assert list(sequencer.add([trade(None), trade(None)], 0)) == [trade(None), trade(None)]
    assert not sequencer.proves_gaps


@given(
    deliveries=st.lists(
        st.tuples(st.integers(0, 40), st.floats(0, 3, allow_nan=False)), min_size=1, max_size=120
    ),
    sizes=st.lists(st.integers(1, 5), min_size=120, max_size=120),
)
def test_lost_repeated_and_reordered_trades_are_each_passed_on_once_in_order_or_reported_as_unknown(
    deliveries: list[tuple[int, float]], sizes: list[int]
) -> None:
    sequencer, now, events = TradeSequencer(REORDER_WINDOW), 0.0, list[Trade | UnknownInterval]()
    events += sequencer.add([trade(0)], now)
    left = list(deliveries)
    for size in sizes:
        group, left = left[:size], left[size:]
        now += sum(pause for _, pause in group[:1])
        events += sequencer.release_overdue(now)
        events += sequencer.add([trade(number, number / 10) for number, _ in group], now)
    events += sequencer.flush()
    ids = [event.trade_id for event in events if isinstance(event, Trade)]
    assert ids == sorted(set(ids))
    spans = [(event.since, event.until) for event in events if isinstance(event, UnknownInterval)]
    newest = max(number for number in ids if number is not None)
    assert newest == max(0, *(number for number, _ in deliveries))
    for number in set(range(newest)) - set(ids):
        assert any(since <= at(number / 10) <= until for since, until in spans), number
    for since, until in spans:
        lost = [n for n in range(newest) if n not in ids and since < at(n / 10) < until]
        assert lost, "nothing is missing there"


@given(st.permutations(range(1, 20)), st.data())
def test_trades_that_are_late_by_less_than_the_reorder_window_are_all_passed_on(
    numbers: list[int], data: st.DataObject
) -> None:
    sequencer, events = TradeSequencer(REORDER_WINDOW), list[Trade | UnknownInterval]()
    events += sequencer.add([trade(0)], 0)
    repeated = data.draw(st.lists(st.sampled_from(numbers)))
    for step, number in enumerate([*numbers, *repeated]):
        now = step * REORDER_WINDOW / 100
        events += sequencer.release_overdue(now)
        events += sequencer.add([trade(number)], now)
    assert events == [trade(number) for number in range(20)]


def test_sequence_numbers_that_rise_by_one_are_next_and_any_other_step_is_named() -> None:
    tracker = SequenceTracker()
    assert tracker.advance(7, snapshot=True, frame=1) is SequenceStep.NEXT
    assert (
        tracker.advance(7, snapshot=False, frame=1) is SequenceStep.NEXT
    )  # another event of the same message
    assert tracker.advance(8, snapshot=False, frame=2) is SequenceStep.NEXT
    assert tracker.advance(8, snapshot=False, frame=3) is SequenceStep.REPEATED
    assert tracker.advance(6, snapshot=False, frame=4) is SequenceStep.EARLIER
    assert tracker.advance(10, snapshot=False, frame=5) is SequenceStep.GAP
    assert tracker.advance(3, snapshot=True, frame=6) is SequenceStep.NEXT
    assert tracker.advance(4, snapshot=False, frame=7) is SequenceStep.NEXT


def test_a_subscription_begins_with_a_snapshot_or_with_number_one() -> None:
    tracker = SequenceTracker()
    assert tracker.advance(2, snapshot=False, frame=1) is SequenceStep.GAP
    assert tracker.advance(1, snapshot=False, frame=2) is SequenceStep.NEXT
    tracker.reset()
    assert tracker.advance(2, snapshot=False, frame=3) is SequenceStep.GAP
    assert tracker.advance(5, snapshot=True, frame=4) is SequenceStep.NEXT
