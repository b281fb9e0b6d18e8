import datetime as dt
from dataclasses import replace

from streaming.bars.venue_comparison import CONFIRM_AGE, MAX_AGE, MAX_OPEN, VenueComparison
from streaming.events import Candle
from tests.streaming.bars.market import BTC, MIDNIGHT, MINUTE, SECOND
from trading.closed_candles import Basis, ClosedCandle
from trading.market import Timeframe

M1 = Timeframe.M1
CLOSED_AT = MIDNIGHT + MINUTE + SECOND
LATER = CLOSED_AT + CONFIRM_AGE
OURS = ClosedCandle(
    origin="kraken", pair=BTC, timeframe=M1, open_time=MIDNIGHT, open=9.0, high=9.5, low=8.0, close=9.1, volume=3.5,
    trades=4, first_trade_id=1, last_trade_id=4, basis=Basis.TRADES, known_at=CLOSED_AT,
)  # fmt: skip


def theirs(close: float = 9.1, volume: float = 3.5, trades: int | None = 4, minute: int = 0) -> Candle:
    return Candle(BTC, M1, MIDNIGHT + minute * MINUTE, 9.0, 9.5, 8.0, close, volume, trades)


def suspected() -> VenueComparison:
    comparison = VenueComparison()
    comparison.hear(theirs(close=9.2))
    comparison.close(OURS)
    assert comparison.suspects == [MIDNIGHT]
    return comparison


def test_equal_candles_are_no_difference_in_whichever_order_they_come() -> None:
    for messages_first in (True, False):
        comparison = VenueComparison()
        for step in (messages_first, not messages_first):
            comparison.hear(theirs()) if step else comparison.close(OURS)
        assert comparison.suspects == []


def test_a_stale_last_message_restates_nothing() -> None:
    """The candle channel's last message was sent before the last trade: the committed candle is ours."""
    comparison = VenueComparison()
    comparison.hear(theirs(close=9.0, volume=2.5, trades=3))
    comparison.close(OURS)
    assert comparison.suspects == [MIDNIGHT]
    assert comparison.confirm(theirs(), CLOSED_AT) is None
    assert comparison.suspects == []


def test_a_newer_message_that_agrees_ends_the_suspicion() -> None:
    comparison = suspected()
    comparison.hear(theirs())
    assert comparison.suspects == []


def test_a_difference_counts_once_the_venue_says_it_twice() -> None:
    comparison, other = suspected(), theirs(close=9.2)
    assert comparison.confirm(other, CLOSED_AT) is None
    assert comparison.confirm(other, LATER - SECOND) is None
    restated = comparison.confirm(other, LATER)
    assert restated == replace(OURS, close=9.2, basis=Basis.VENUE, known_at=LATER)
    assert comparison.suspects == []


def test_two_readings_that_differ_prove_nothing() -> None:
    comparison = suspected()
    assert comparison.confirm(theirs(close=9.2), CLOSED_AT) is None
    assert comparison.confirm(theirs(close=9.3), LATER) is None
    assert comparison.confirm(theirs(close=9.3), LATER + CONFIRM_AGE) is not None


def test_a_candle_that_is_settled_is_compared_no_more() -> None:
    comparison = suspected()
    assert comparison.confirm(theirs(close=9.2), OURS.close_time + MAX_AGE + SECOND) is None
    assert comparison.suspects == []


def test_nothing_is_confirmed_that_was_not_suspected() -> None:
    assert VenueComparison().confirm(theirs(close=9.2), LATER) is None


def test_what_is_compared_is_bounded() -> None:
    comparison = VenueComparison()
    for minute in range(3 * MAX_OPEN):
        comparison.hear(theirs(close=9.2, minute=minute))
        comparison.close(
            replace(OURS, open_time=MIDNIGHT + minute * MINUTE, known_at=MIDNIGHT + dt.timedelta(1))
        )
    assert len(comparison.suspects) == MAX_OPEN
