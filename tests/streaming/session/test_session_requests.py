"""A session's requests, the venue's responses, and refusals."""

from datetime import timedelta

import pytest

from streaming.events import (
    Acknowledgement,
    Channel,
    Subscription,
    Ticker,
    VenueStatus,
)
from streaming.session import Session
from streaming.session.output import CloseKind, SubscriptionRefused
from tests.streaming.session.session_fakes import (
    BTC,
    XRP,
    FakeFeed,
    SessionHarness,
    connected,
    ticker,
)
from trading.errors import InvalidValue

TICKERS = Subscription(Channel.TICKER, (BTC, XRP))
ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
TRADES = Subscription(Channel.TRADE, (BTC,))


def test_each_pair_is_requested_under_its_own_id() -> None:
    harness = SessionHarness(TICKERS, TRADES)
    harness.connect(confirm=False)
    assert harness.sent == [
        "subscribe ticker BTC/USD #1",
        "subscribe ticker XRP/USD #2",
        "subscribe trade BTC/USD #3",
    ]


def test_a_repeated_subscription_is_refused_at_once() -> None:
    with pytest.raises(InvalidValue, match="ticker BTC/USD is subscribed to twice"):
        Session(FakeFeed(), [TICKERS, ONE_TICKER])


def test_a_session_without_subscriptions_is_refused() -> None:
    with pytest.raises(InvalidValue, match="name at least one"):
        Session(FakeFeed(), [])


def test_no_more_requests_are_sent_than_may_be_in_flight() -> None:
    harness = SessionHarness(TICKERS, TRADES, max_in_flight=2)
    harness.connect(confirm=False)
    assert len(harness.sent) == 2
    harness.respond(harness.sent[0])
    assert harness.sent[2:] == ["subscribe trade BTC/USD #3"]


def test_a_refused_subscription_is_reported_and_not_requested_again() -> None:
    harness = SessionHarness(TICKERS)
    harness.connect(confirm=False)
    harness.respond(harness.sent[1], error="Currency pair not supported")
    harness.respond(harness.sent[0])
    harness.advance(50)
    assert harness.events == [SubscriptionRefused(Channel.TICKER, XRP, "Currency pair not supported")]
    assert len(harness.sent) == 2
    assert harness.close is None


def test_a_refused_subscription_is_requested_again_after_some_minutes() -> None:
    harness = SessionHarness(TICKERS, refused_retry_interval=timedelta(minutes=5), silence_timeouts={})
    harness.connect(confirm=False)
    harness.respond(harness.sent[1], error="no")
    harness.respond(harness.sent[0])
    harness.advance(299, step=1)
    assert len(harness.sent) == 2
    harness.advance(2)
    assert harness.sent[2:] == ["subscribe ticker XRP/USD #3"]
    harness.respond(harness.sent[2], error="still no")
    assert [each.reason for each in harness.events_of(SubscriptionRefused)] == ["no", "still no"]
    harness.advance(301, step=1)
    harness.confirm_all()
    harness.receive(ticker(pair=XRP))
    assert harness.events_of(Ticker) == [ticker(pair=XRP)]


def test_a_refusal_in_maintenance_is_requested_again_once_the_venue_is_online() -> None:
    harness = SessionHarness(TICKERS)
    harness.connect(confirm=False)
    harness.respond(harness.sent[0])
    harness.receive(VenueStatus("maintenance", ""))
    harness.respond(harness.sent[1], error="EService:Unavailable")
    harness.receive(VenueStatus("post_only", ""))
    assert len(harness.sent) == 2
    harness.receive(VenueStatus("online", ""))
    assert harness.sent[2:] == ["subscribe ticker XRP/USD #3"]
    harness.receive(VenueStatus("online", ""))
    assert len(harness.sent) == 3


def test_a_new_connection_requests_refused_subscriptions_again() -> None:
    harness = SessionHarness(TICKERS)
    harness.connect(confirm=False)
    harness.respond(harness.sent[1], error="no")
    harness.drop()
    harness.connect(confirm=False)
    assert harness.sent[2:] == ["subscribe ticker BTC/USD #3", "subscribe ticker XRP/USD #4"]


def test_a_venue_that_refuses_everything_closes_the_connection_for_good() -> None:
    harness = SessionHarness(ONE_TICKER)
    harness.connect(confirm=False)
    harness.respond(harness.sent[0], error="EGeneral:Permission denied")
    assert harness.close is not None
    assert harness.close.kind is CloseKind.REFUSED
    assert "EGeneral:Permission denied" in harness.close.reason


def test_a_venue_in_maintenance_that_refuses_everything_is_retried_later() -> None:
    harness = SessionHarness(ONE_TICKER)
    harness.connect(confirm=False)
    harness.receive(VenueStatus("maintenance", ""))
    harness.respond(harness.sent[0], error="no")
    assert harness.close is not None
    assert harness.close.kind is CloseKind.RETRY
    assert harness.session.in_maintenance


def test_a_subscription_refused_after_it_delivered_gets_one_new_connection() -> None:
    harness = connected(TICKERS)
    harness.receive(ticker())
    harness.drop()
    harness.connect(confirm=False)
    harness.respond("subscribe ticker BTC/USD #3", error="ESession:Invalid session")
    assert harness.close is not None
    harness.drop()
    harness.connect(confirm=False)
    harness.respond("subscribe ticker BTC/USD #5", error="ESession:Invalid session")
    assert harness.events_of(SubscriptionRefused) == [
        SubscriptionRefused(Channel.TICKER, BTC, "ESession:Invalid session")
    ]
    assert harness.close is None


def test_a_response_without_an_id_is_matched_by_channel_and_pair() -> None:
    harness = SessionHarness(TICKERS)
    harness.connect(confirm=False)
    harness.respond(harness.sent[1], error="unknown", with_id=False)
    assert harness.events_of(SubscriptionRefused) == [SubscriptionRefused(Channel.TICKER, XRP, "unknown")]


def test_an_error_that_belongs_to_no_request_is_reported() -> None:
    harness = connected(ONE_TICKER)
    error = Acknowledgement(None, "", None, None, False, "Exceeded msg rate")
    harness.receive(error)
    assert harness.events == [error]


def test_a_key_that_is_not_accepted_closes_the_connection_for_good() -> None:
    harness = connected(ONE_TICKER)
    harness.receive(Acknowledgement(None, "connect", None, None, False, "API key required"))
    assert harness.close is not None
    assert harness.close.kind is CloseKind.NOT_AUTHORISED


def test_a_request_without_a_response_is_repeated_and_then_the_connection_is_closed() -> None:
    harness = SessionHarness(ONE_TICKER)
    harness.connect(confirm=False)
    harness.advance(10.5)
    assert harness.sent[1:] == ["unsubscribe ticker BTC/USD #2"]
    harness.respond(harness.sent[1], error="Subscription Not Found")
    assert harness.sent[2:] == ["subscribe ticker BTC/USD #3"]
    harness.advance(60)
    assert harness.close is not None
    assert harness.close.reason == "no answer of ticker BTC/USD after asking 3 times"


def test_messages_replace_a_missing_response() -> None:
    harness = SessionHarness(ONE_TICKER)
    harness.connect(confirm=False)
    harness.receive(ticker())
    harness.advance(50)
    assert len(harness.sent) == 1


def test_a_response_that_comes_after_its_request_was_repeated_changes_nothing() -> None:
    harness = SessionHarness(ONE_TICKER)
    harness.connect(confirm=False)
    harness.advance(10.5)
    harness.respond("subscribe ticker BTC/USD #1", error="late")
    assert harness.events == []


def test_a_new_connection_does_not_wait_for_responses_of_the_old_one() -> None:
    harness = SessionHarness(TICKERS, max_in_flight=2)
    harness.connect(confirm=False)
    harness.advance(9)
    harness.drop()
    harness.connect(confirm=False)
    assert harness.count_requests("subscribe", "ticker") == 4
    harness.advance(5)
    assert harness.count_requests("unsubscribe", "ticker") == 0


def test_after_a_reconnect_everything_is_subscribed_to_again() -> None:
    harness = connected(TICKERS, TRADES)
    before = [frame.split(" #")[0] for frame in harness.sent]
    harness.drop()
    harness.sent.clear()
    harness._responded = 0
    harness.connect()
    assert [frame.split(" #")[0] for frame in harness.sent] == before
    assert harness.feed.resets == 2
