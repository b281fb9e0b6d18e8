"""A gap that nobody repairs takes no memory for ever, publishes nothing wrong, and can still be repaired later."""

from datetime import timedelta

import pytest

from streaming.bars.pair_candles import GIVEN_UP
from tests.streaming.bars.market import (
    MIDNIGHT,
    MINUTE,
    SECOND,
    Recording,
    expected,
    history,
    trade,
)
from trading.market import Timeframe

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FRAMES = (Timeframe.M1, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)


def bytes_kept(recording: Recording) -> int:
    checkpoint = recording.candles.checkpoint()
    return len(checkpoint.settled) + len(checkpoint.recent)


@pytest.mark.parametrize("trades_a_day", [96, 0])
def test_a_venue_without_ids_that_disconnects_every_day_keeps_the_state_small(trades_a_day: int) -> None:
    recording, sizes, published = Recording(FRAMES), [], []
    candles = recording.candles
    recording.take(candles.restore(MIDNIGHT, MIDNIGHT))
    published.append(trade(None, MIDNIGHT + SECOND))
    recording.take(candles.add(published, MIDNIGHT + SECOND))
    for day in range(14):
        for quarter in range(96):
            now = MIDNIGHT + day * DAY + quarter * 15 * MINUTE + 30 * SECOND
            if quarter == 40:  # ten o'clock
                recording.take(candles.interrupt(now, "no frame", now))
                recording.take(candles.restore(now + MINUTE, now + MINUTE))
            elif trades_a_day:
                published.append(trade(None, now, 100 + quarter / 10))
                recording.take(candles.add(published[-1:], now))
            recording.take(candles.advance(now + 5 * SECOND, now + 5 * SECOND))
        sizes.append(bytes_kept(recording))
    assert max(sizes[5:]) <= max(sizes[:5]) + 200
    assert len(candles.gaps) <= 4
    gaps = sorted(recording.ledger.values(), key=lambda gap: gap.since)
    assert len(gaps) == (15 if trades_a_day else 2)  # no trade between: it is one and the same gap
    assert all(GIVEN_UP in gap.reason for gap in gaps[:-4])
    assert recording.restated == 0
    if trades_a_day:
        right = expected(published, MIDNIGHT, now, FRAMES)
        final = recording.final()
        assert final.items() <= right.items()
        ten = MIDNIGHT + 8 * DAY + 10 * HOUR
        for timeframe in FRAMES:
            missing = timeframe.floor(ten)
            assert (timeframe, missing) not in final
            if timeframe in (Timeframe.M15, Timeframe.H4):
                assert (timeframe, missing + timeframe.duration) in final
        price_known = ten + 16 * MINUTE  # the candles until the next trade have no certain price
        assert (Timeframe.M1, price_known) in final


def test_what_was_given_up_is_complete_once_the_history_answers() -> None:
    """The venue's history was away for six days. The ledger asks for the gap, then for its days as a whole."""
    trades = [trade(number, MIDNIGHT + number * 10 * MINUTE) for number in range(1, 1000)]
    lost = range(60, 200)  # from the first day into the second
    recording = Recording(FRAMES)
    candles = recording.candles
    recording.take(candles.restore(MIDNIGHT, MIDNIGHT))
    recording.take(candles.backfill(candles.gaps[0], [], MIDNIGHT, MIDNIGHT))
    for each in trades:
        if each.trade_id not in lost:
            recording.take(candles.add([each], each.at))
    assert candles.gaps == []
    assert all(GIVEN_UP in gap.reason for gap in recording.ledger.values())
    assert (Timeframe.D1, MIDNIGHT) not in recording.final()
    now = trades[-1].at
    while recording.ledger:
        gap = min(recording.ledger.values(), key=lambda each: each.since)
        assert gap.until is not None
        recording.take(candles.backfill(gap, history(trades, gap.since, gap.until), None, now))
    assert recording.final() == expected(trades, MIDNIGHT, Timeframe.M1.floor(now), FRAMES)
    assert recording.restated == 0
