"""Single cases of candles and gaps, each by its name; the property tests mix them all."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from streaming.bars.coverage import Changes, Coverage
from tests.streaming.bars.market import BTC, MIDNIGHT, MINUTE, SECOND, Recording, history, numbers, trade
from trading.closed_candles import Basis
from trading.errors import InvalidMessage
from trading.feed_gaps import MissingKind
from trading.market import Timeframe

M1, M5, H1, D1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1
NOON = MIDNIGHT + timedelta(hours=12)


def live(at: datetime = NOON, first: int | None = 1) -> Recording:
    """A recording whose first trade came at `at`; nothing traded before."""
    recording = Recording((M1, M5, H1, D1))
    recording.take(recording.candles.restore(at, at))
    recording.take(recording.candles.add([trade(first, at)], at))
    for gap in recording.candles.gaps:
        recording.take(recording.candles.backfill(gap, [], gap.until or at, at))
    assert recording.candles.gaps == []
    return recording


def advance(recording: Recording, to: datetime) -> None:
    recording.take(recording.candles.advance(to, to))


def test_a_day_and_a_month_end_at_midnight_and_the_next_ones_begin_with_their_own_trades() -> None:
    recording = live(MIDNIGHT - 30 * SECOND)
    recording.take(recording.candles.add([trade(2, MIDNIGHT - timedelta(microseconds=1), 110.0)], MIDNIGHT))
    recording.restart()
    recording.take(recording.candles.add([trade(3, MIDNIGHT, 90.0)], MIDNIGHT))
    for timeframe in (M1, M5, H1, D1):
        candle = recording.newest(timeframe, MIDNIGHT - timeframe.duration)
        assert candle is not None
        assert (candle.high, candle.low, candle.close, candle.trades) == (110.0, 100.0, 110.0, 2)
    advance(recording, MIDNIGHT + MINUTE + SECOND)
    after = recording.newest(M1, MIDNIGHT)
    assert after is not None
    assert (after.open, after.trades, after.first_trade_id) == (90.0, 1, 3)


def test_a_venue_that_counts_its_trades_anew_is_another_market() -> None:
    recording = live()
    recording.take(recording.candles.add([trade(2, NOON + SECOND)], NOON))
    with pytest.raises(InvalidMessage, match="counts the trades of BTC/USDT anew"):
        recording.candles.add([trade(1, NOON + MINUTE)], NOON + MINUTE)


def test_a_trade_that_is_sent_again_is_none() -> None:
    recording = live()
    assert recording.take(recording.candles.add([trade(1, NOON)], NOON)).trades == []


def test_an_outage_within_a_maintenance_is_a_gap_of_its_own_and_one_history_ends_both() -> None:
    recording = live()
    candles = recording.candles
    advance(recording, NOON + 10 * MINUTE)
    recording.take(
        candles.interrupt(NOON + 10 * MINUTE, "maintenance", NOON + 10 * MINUTE, MissingKind.MAINTENANCE)
    )
    recording.take(candles.interrupt(NOON + 12 * MINUTE, "no frame", NOON + 12 * MINUTE))
    recording.take(candles.restore(NOON + 15 * MINUTE, NOON + 15 * MINUTE))
    advance(recording, NOON + 20 * MINUTE)
    kinds = [gap.kind for gap in candles.gaps]
    assert kinds in ([MissingKind.MAINTENANCE, MissingKind.FEED_GAP], [MissingKind.FEED_GAP])
    trades = [trade(2, NOON + 13 * MINUTE, 90.0)]
    while candles.gaps:
        gap = candles.gaps[0]
        assert gap.until is not None
        found = history(trades, gap.since, gap.until)
        recording.take(candles.backfill(gap, found, None, NOON + 20 * MINUTE))
    advance(recording, NOON + 20 * MINUTE)
    traded = [each for each in recording.opens(M1) if recording.revisions[M1, each][-1].trades]
    assert traded[-2:] == [NOON, NOON + 13 * MINUTE]
    assert recording.restated == 0


def test_a_restated_minute_restates_the_longer_candles_that_hold_it() -> None:
    recording = live()
    minutes = [trade(2 + index, NOON + (1 + index) * MINUTE) for index in range(10)]
    for each in minutes:
        recording.take(recording.candles.add([each], each.at))
    ours = recording.newest(M1, NOON + MINUTE)
    assert ours is not None
    theirs = replace(ours, high=130.0, volume=7.0, trades=3, basis=Basis.VENUE)
    built = recording.take(recording.candles.restate(theirs, NOON + 11 * MINUTE))
    assert [each.after.timeframe for each in built.restatements] == [M1, M5]
    for each in built.restatements:
        assert (each.before.high, each.after.high, each.after.basis) == (100.0, 130.0, Basis.VENUE)
    five = recording.newest(M5, NOON)
    assert five is not None
    assert numbers(five) == (100.0, 130.0, 100.0, 100.0, 11.0, 7)
    advance(recording, NOON + timedelta(hours=1, seconds=1))
    hour = recording.newest(H1, NOON)
    assert hour is not None
    assert (hour.high, hour.volume, hour.trades, hour.basis) == (130.0, 17.0, 13, Basis.VENUE)


@pytest.mark.parametrize("jump", [timedelta(seconds=90), timedelta(seconds=-90)])
def test_a_jump_of_our_own_clock_changes_no_candle_and_no_order_of_revisions(jump: timedelta) -> None:
    recording = live()
    for index in range(4):
        at = NOON + (index + 1) * MINUTE
        recording.take(recording.candles.add([trade(2 + index, at)], at + (jump if index >= 2 else 0 * jump)))
    late = trade(8, NOON + 5 * MINUTE)
    recording.take(recording.candles.add([late], late.at + jump))
    gap = recording.candles.gaps[0]
    missed = [trade(6, NOON + 4 * MINUTE), trade(7, NOON + 4 * MINUTE + SECOND, 90.0)]
    recording.take(recording.candles.backfill(gap, missed, None, late.at + jump))
    assert recording.opens(M1)[-5:] == [NOON + index * MINUTE for index in range(5)]
    last = recording.newest(M1, NOON + 4 * MINUTE)
    assert last is not None
    assert (last.low, last.trades) == (90.0, 3)


def test_a_venue_without_ids_closes_what_the_live_channel_proves() -> None:
    recording = live(first=None)
    recording.take(recording.candles.add([trade(None, NOON + 59 * SECOND, 90.0)], NOON + MINUTE))
    advance(recording, NOON + MINUTE + SECOND)
    candle = recording.newest(M1, NOON)
    assert candle is not None
    assert (candle.close, candle.trades, candle.first_trade_id) == (90.0, 2, None)


def test_a_late_trade_belongs_to_the_gap_of_its_time_where_a_gap_was_proven_in_parts() -> None:
    recording, lost_until = live(), NOON + 10 * MINUTE
    recording.take(recording.candles.interrupt(NOON + MINUTE, "no frame", NOON + MINUTE))
    recording.take(recording.candles.restore(lost_until, lost_until))
    recording.take(recording.candles.add([trade(20, lost_until)], lost_until))
    [gap] = recording.candles.gaps
    middle = replace(gap, since=gap.since + 2 * MINUTE)
    recording.take(recording.candles.backfill(middle, [], middle.since + MINUTE, lost_until))
    before, after = recording.candles.gaps
    recording.take(recording.candles.add([trade(19, lost_until)], lost_until))
    assert recording.candles.gaps == [replace(each, before_id=19) for each in (before, after)]


def test_gaps_that_a_history_leaves_alike_are_one() -> None:
    changes, coverage = Changes(NOON), Coverage("kraken", BTC, SECOND, M1)
    coverage.restore(NOON, changes)
    coverage.accept(trade(10, NOON), changes)
    coverage.accept(trade(20, NOON + 10 * MINUTE), changes)
    coverage.reopen(NOON - MINUTE, NOON + 20 * MINUTE, "a trade of a day long settled", changes)
    found = [trade(15, NOON + MINUTE)]
    coverage.prove(NOON - MINUTE, NOON + MINUTE, found, changes)
    [gap] = coverage.gaps
    assert (gap.after_id, gap.before_id, gap.until) == (15, None, NOON + 20 * MINUTE)
    assert list(changes.opened.values()) == [gap]


def test_a_trade_of_a_gap_that_was_proven_in_parts_is_taken_once_though_it_comes_twice() -> None:
    recording, lost_until = live(), NOON + 10 * MINUTE
    recording.take(recording.candles.add([trade(3, lost_until)], lost_until))
    [gap] = recording.candles.gaps
    middle = replace(gap, since=gap.since + 2 * MINUTE)
    recording.take(recording.candles.backfill(middle, [], middle.since + MINUTE, lost_until))
    late = trade(2, lost_until - MINUTE)
    built = recording.take(recording.candles.add([late, late], lost_until))
    assert built.trades == [late]
    assert recording.candles.gaps == []
    advance(recording, lost_until + 2 * MINUTE)
    candle = recording.newest(M1, lost_until - MINUTE)
    assert candle is not None
    assert candle.trades == 1


def test_before_the_first_trade_nothing_is_proven_though_the_channel_was_interrupted() -> None:
    recording = Recording((M1,))
    recording.take(recording.candles.restore(NOON, NOON))
    for gap in recording.candles.gaps:
        recording.take(recording.candles.backfill(gap, [], NOON, NOON))
    advance(recording, NOON + MINUTE)
    recording.take(recording.candles.interrupt(NOON + MINUTE, "no frame", NOON + MINUTE))
    recording.take(recording.candles.restore(NOON + 2 * MINUTE, NOON + 2 * MINUTE))
    recording.take(recording.candles.add([trade(9, NOON + 3 * MINUTE)], NOON + 3 * MINUTE))
    [gap] = recording.candles.gaps
    assert gap.since <= NOON  # a trade of the first minute may have been lost without a word


def test_first_trades_of_a_day_that_is_settled_come_whole_with_the_history_of_that_day() -> None:
    recording, before, after = Recording((M1, D1)), MIDNIGHT - 10 * SECOND, MIDNIGHT + timedelta(hours=1)
    recording.take(recording.candles.restore(before, before))
    for gap in recording.candles.gaps:
        recording.take(recording.candles.backfill(gap, [], before, before))
    for minutes in (5, 30, 60):
        advance(recording, MIDNIGHT + minutes * MINUTE)
    late = [trade(1, before + 7 * SECOND), trade(2, before + 8 * SECOND)]
    recording.take(recording.candles.add([late[0], *late], after))
    recording.take(recording.candles.add([trade(3, after)], after))
    while recording.candles.gaps:
        gap = recording.candles.gaps[0]
        recording.take(
            recording.candles.backfill(gap, history(late, gap.since, gap.until or after), gap.until, after)
        )
    candle = recording.newest(D1, MIDNIGHT - D1.duration)
    assert candle is not None
    assert candle.trades == 2
