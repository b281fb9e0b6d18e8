"""What a session does when a connection or a channel falls silent."""

from datetime import timedelta

import pytest

from streaming.events import (
    PRIVATE,
    Channel,
    Execution,
    Subscription,
    Trade,
    UnknownInterval,
)
from streaming.session.output import Interrupted, Restored
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

TICKERS = Subscription(Channel.TICKER, (BTC, XRP))
ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
TRADES = Subscription(Channel.TRADE, (BTC,))
EXECUTIONS = Subscription(Channel.EXECUTIONS)


def test_a_connection_without_any_frame_is_closed() -> None:
    harness = connected(TICKERS)
    harness.advance(8, heartbeat=False)
    assert harness.close is None
    harness.advance(0.5, heartbeat=False)
    assert harness.close is not None
    assert harness.close.reason == "no frame for 8 seconds"


def test_a_channel_that_falls_silent_among_heartbeats_is_unknown_until_its_next_message() -> None:
    harness = connected(ONE_TICKER, silence_timeouts={Channel.TICKER: timedelta(seconds=30)})
    harness.receive(ticker())
    harness.advance(30.25)
    assert harness.events[1:] == [Interrupted(Channel.TICKER, BTC, at(0), "the channel fell silent")]
    assert harness.sent[1:] == ["unsubscribe ticker BTC/USD #2"]
    harness.confirm_all()
    assert harness.sent[2:] == ["subscribe ticker BTC/USD #3"]
    harness.advance(1)
    harness.receive(ticker(101.0))
    assert harness.events[2:] == [
        UnknownInterval(Channel.TICKER, BTC, at(0), at(31.25), "the channel fell silent"),
        Restored(Channel.TICKER, BTC, at(31.25)),
        ticker(101.0),
    ]
    assert harness.close is None


def test_only_the_silent_pair_is_subscribed_to_again() -> None:
    harness = connected(TICKERS, silence_timeouts={Channel.TICKER: timedelta(seconds=30)})
    for _ in range(4):
        harness.receive(ticker(pair=XRP))
        harness.advance(8)
    assert harness.sent[2:] == ["unsubscribe ticker BTC/USD #3"]


def test_a_channel_that_stays_silent_after_new_subscriptions_closes_the_connection() -> None:
    harness = connected(ONE_TICKER, silence_timeouts={Channel.TICKER: timedelta(seconds=30)})
    for _ in range(3):
        harness.advance(30.25)
        harness.confirm_all()
    assert harness.close is not None
    assert harness.close.reason == "no message of ticker BTC/USD after asking 3 times"


ACCOUNT = [EXECUTIONS, Subscription(Channel.BALANCES), Subscription(Channel.INSTRUMENT)]


@pytest.mark.parametrize("subscription", ACCOUNT, ids=lambda each: each.channel)
def test_channels_that_may_be_silent_are_renewed_without_becoming_unknown(
    subscription: Subscription,
) -> None:
    harness, begins = connected(subscription), []
    if subscription.channel in PRIVATE:
        begins = [empty_snapshot(subscription.channel)]
    harness.receive(*begins)
    for _ in range(5):
        harness.advance(900.5, step=5)
        harness.confirm_all()
        harness.receive(*begins)
    assert harness.count_requests("subscribe", subscription.channel) == 6
    assert harness.events == []
    assert harness.close is None


def test_a_renewed_subscription_of_our_orders_starts_a_new_sequence() -> None:
    harness = connected(EXECUTIONS, renewal_interval=timedelta(seconds=60))
    harness.receive(execution(1, snapshot=True), execution(1, snapshot=True, order="O2"))
    harness.advance(60.5)
    harness.receive(execution(2))  # it lives after all, and is in order
    harness.confirm_all()
    harness.receive(empty_snapshot())
    harness.receive(execution(2, order="O3"))
    assert [each.sequence for each in harness.events_of(Execution)] == [1, 1, 2, 2]
    assert harness.events_of(Interrupted) == []


def test_a_gap_during_the_renewal_of_our_orders_is_unknown() -> None:
    harness = connected(EXECUTIONS, renewal_interval=timedelta(seconds=60))
    harness.receive(execution(1, snapshot=True))
    harness.advance(60.5)
    harness.receive(execution(3))
    harness.confirm_all()
    harness.receive(execution(1, snapshot=True))
    assert harness.events_of(UnknownInterval) == [
        UnknownInterval(Channel.EXECUTIONS, None, at(0), at(60.5), "message 3 came after 1")
    ]


def test_a_renewal_of_our_orders_whose_snapshot_is_lost_is_unknown_from_the_last_message_before_it() -> None:
    harness = connected(EXECUTIONS, renewal_interval=timedelta(seconds=60))
    harness.receive(execution(1, snapshot=True))
    harness.advance(60.5)
    harness.confirm_all()
    harness.advance(1)
    harness.receive(execution(2))  # what happened since the last message was in number 1
    assert harness.events_of(Interrupted) == [
        Interrupted(Channel.EXECUTIONS, None, at(0), "message 2 came instead of the snapshot")
    ]
    harness.confirm_all()
    harness.receive(execution(1, snapshot=True))
    assert [(each.since, each.until) for each in harness.events_of(UnknownInterval)] == [(at(0), at(61.5))]
    assert harness.count_requests("subscribe", "executions") == 3


@pytest.mark.parametrize("channel", sorted(PRIVATE))
def test_a_snapshot_that_does_not_follow_the_response_is_requested_again(channel: Channel) -> None:
    harness = connected(Subscription(channel), response_timeout=timedelta(seconds=10))
    harness.advance(10.25)
    assert harness.events_of(Interrupted) == [Interrupted(channel, None, at(0), "its snapshot did not come")]
    harness.confirm_all()
    harness.receive(empty_snapshot(channel))
    assert harness.events_of(Restored) == [Restored(channel, None, at(10.25))]
    harness.advance(60)
    assert harness.count_requests("subscribe", channel) == 2


def test_a_subscription_whose_snapshot_never_comes_closes_the_connection() -> None:
    harness = connected(EXECUTIONS, response_timeout=timedelta(seconds=10))
    for _ in range(3):
        harness.advance(10.25)
        harness.confirm_all()
    assert harness.close is not None
    assert harness.close.reason == "no snapshot of executions after asking 3 times"


def test_a_renewal_of_our_orders_without_a_response_closes_the_connection() -> None:
    harness = connected(EXECUTIONS, renewal_interval=timedelta(seconds=60))
    harness.advance(150)
    assert harness.close is not None
    assert harness.close.reason == "no answer of executions after asking 3 times"


def test_a_quiet_market_loses_no_trades_when_it_is_subscribed_to_again() -> None:
    harness = connected(TRADES, silence_timeouts={Channel.TRADE: timedelta(seconds=60)})
    harness.receive(trade(1), trade(2))
    harness.advance(60.25)
    harness.confirm_all()
    harness.receive(trade(1), trade(2))
    harness.advance(3)
    assert [type(each) for each in harness.events] == [Trade, Trade, Interrupted, Restored]
