"""Unreadable and unrequested messages in a session, and the venue's status."""

import pytest

from streaming.events import (
    Candle,
    Channel,
    Execution,
    Heartbeat,
    Subscription,
    Ticker,
    UnknownInterval,
    VenueStatus,
)
from streaming.session.output import Interrupted
from streaming.session.settings import BookMode, SessionSettings
from tests.streaming.session.session_fakes import (
    BTC,
    XRP,
    at,
    connected,
    empty_snapshot,
    execution,
    ticker,
    trade,
)
from trading.market import Pair, Timeframe

TICKERS = Subscription(Channel.TICKER, (BTC, XRP))
ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
BOOK = Subscription(Channel.BOOK, (BTC,))
EXECUTIONS = Subscription(Channel.EXECUTIONS)


def test_an_unreadable_message_is_rejected_and_the_connection_goes_on() -> None:
    harness = connected(ONE_TICKER)
    harness.receive_frame(b"\xff garbage")
    harness.receive(ticker())
    assert [(each.frame, each.channel) for each in harness.rejected] == [(b"\xff garbage", "trade")]
    assert harness.events_of(Ticker) == [ticker()]
    assert harness.close is None


CANDLES = Subscription(Channel.CANDLE, (BTC, XRP))


@pytest.mark.parametrize(
    ("subscription", "frame", "pairs"),
    [
        (CANDLES, '{"channel":"ohlc","data":[{"symbol":"BTC/USD"}]}', [BTC]),
        (CANDLES, '{"channel":"candle","FROMSYMBOL":"XRP","TOSYMBOL":"USD"}', [XRP]),
        (CANDLES, b'{"channel":"ohlc","data":[{"symbol":"BTC/USD"}]}', [BTC]),
        (CANDLES, '{"channel":"ohlc","data":[{"symbol":"BTC/USDT"}]}', [BTC, XRP]),
        (CANDLES, '{"channel":"ohlc","data":[{"symbol":"BTC/USD"},', [BTC, XRP]),
        (CANDLES, b'{"channel":"ohlc","data":"\xff"}', [BTC, XRP]),
        (CANDLES, '{"channel":"ticker","data":[{"symbol":"BTC/USD"}]}', []),
        (CANDLES, '{"channel":"nonsense"}', []),
        (EXECUTIONS, '{"channel":"executions","data":[', [None]),
        (Subscription(Channel.BOOK, (BTC,)), '{"channel":"book snapshot"}', [BTC]),
    ],
)
def test_an_unreadable_message_interrupts_the_streams_it_may_belong_to(
    subscription: Subscription, frame: str | bytes, pairs: list[Pair | None]
) -> None:
    harness = connected(subscription, book_mode=BookMode.FULL_DEPTH)
    harness.advance(1)
    harness.receive_frame(frame)
    assert [each.pair for each in harness.events_of(Interrupted)] == pairs
    assert len(harness.rejected) == 1
    assert harness.count_requests("unsubscribe", subscription.channel) == len(pairs)


def test_an_unreadable_fill_leaves_our_orders_unknown_until_the_next_snapshot() -> None:
    harness = connected(EXECUTIONS)
    harness.receive(execution(1))
    harness.advance(1)
    harness.receive_frame('{"channel":"executions","data":"spoilt"}')
    harness.advance(1)
    harness.confirm_all()
    assert harness.events_of(UnknownInterval) == []
    harness.receive(execution(1, snapshot=True))
    [unknown] = harness.events_of(UnknownInterval)
    assert (unknown.channel, unknown.since, unknown.until) == (Channel.EXECUTIONS, at(0), at(2))
    assert unknown.reason.startswith("a message could not be read: what is")
    assert harness.count_requests("subscribe", "executions") == 2
    assert harness.events_of(Execution) == [execution(1), execution(1, snapshot=True)]


def test_an_unreadable_message_does_not_break_a_stream_that_is_being_unsubscribed() -> None:
    harness = connected(EXECUTIONS, max_breaks=1)
    for _ in range(3):
        harness.receive_frame('{"channel":"executions"}')
    assert harness.close is None
    assert harness.count_requests("unsubscribe", "executions") == 1


def test_a_stream_that_is_unreadable_again_and_again_closes_the_connection() -> None:
    harness = connected(EXECUTIONS, max_breaks=3)
    for _ in range(4):
        harness.receive_frame('{"channel":"executions"}')
        harness.confirm_all()
    assert harness.close is not None
    assert harness.close.reason.startswith("executions broke 4 times in 60 seconds")


def test_a_flood_of_unreadable_messages_closes_the_connection() -> None:
    harness = connected(ONE_TICKER, max_unreadable=5)
    for _ in range(5):
        harness.receive_frame("garbage")
    assert harness.close is None
    harness.receive_frame("garbage")
    assert harness.close is not None
    assert harness.close.reason.startswith("6 unreadable messages in 60 seconds")


def test_unreadable_messages_far_apart_are_no_flood() -> None:
    harness = connected(EXECUTIONS, max_unreadable=5)
    for _ in range(20):
        harness.confirm_all()
        harness.receive(empty_snapshot())
        harness.receive_frame("garbage")
        harness.advance(20, step=5)
    assert harness.close is None


def test_messages_that_nobody_subscribed_to_are_rejected_once_per_frame() -> None:
    harness = connected(ONE_TICKER, Subscription(Channel.CANDLE, (BTC,)))
    harness.receive(ticker(pair=XRP), ticker(pair=XRP))
    harness.receive(trade(1))
    harness.receive(Candle(BTC, Timeframe.H1, at(0), 1, 1, 1, 1, 1, 1))
    assert [each.reason for each in harness.rejected] == [
        "nobody subscribed to XRP/USD",
        "nobody subscribed to BTC/USD",
        "nobody subscribed to BTC/USD of 1h",
    ]
    assert harness.events == []


def test_heartbeats_and_expected_responses_are_not_passed_on() -> None:
    harness = connected(TICKERS)
    harness.receive(Heartbeat())
    assert harness.events == []


def test_the_venues_status_is_passed_on_and_remembered() -> None:
    harness = connected(ONE_TICKER)
    harness.receive(VenueStatus("maintenance", "1"))
    harness.drop()
    assert harness.events_of(VenueStatus) == [VenueStatus("maintenance", "1")]
    assert harness.session.in_maintenance
    harness.connect()
    harness.receive(VenueStatus("online", "2"))
    assert not harness.session.in_maintenance


def test_the_settings_of_one_session_are_not_those_of_another() -> None:
    SessionSettings().silence_timeouts.clear()
    assert Channel.BOOK in SessionSettings().silence_timeouts
