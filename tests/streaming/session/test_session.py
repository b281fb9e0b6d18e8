"""A session told what a connection did, in made-up time: what it says, sends and asks to be closed."""

import dataclasses
from datetime import timedelta

import pytest
from msgspec.structs import replace

from streaming.events import (
    Acknowledged,
    BookChange,
    Candle,
    Channel,
    Execution,
    Heartbeat,
    Listed,
    Subscription,
    Ticker,
    Trade,
    Unknown,
    Unreadable,
    VenueStatus,
)
from streaming.session import Session
from streaming.session.output import (
    BestOffers,
    Books,
    End,
    Interrupted,
    Restored,
    SessionSettings,
    SubscriptionRefused,
)
from tests.streaming.kraken_recordings import levels
from tests.streaming.session.session_fakes import (
    BTC,
    XRP,
    FakeFeed,
    Stage,
    VenueBook,
    at,
    execution,
    listed,
    numbered,
    ticker,
    trade,
)
from trading.errors import InvalidValue
from trading.market import Pair, Timeframe

TICKERS = Subscription(Channel.TICKER, (BTC, XRP))
ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
TRADES = Subscription(Channel.TRADE, (BTC,))
BOOK = Subscription(Channel.BOOK, (BTC,))
EXECUTIONS = Subscription(Channel.EXECUTIONS)


def connected(*subscriptions: Subscription, **settings: object) -> Stage:
    stage = Stage(*subscriptions, **settings)
    stage.connect()
    return stage


# --- requests and answers ---------------------------------------------------------------------------------------


def test_each_pair_is_asked_for_under_its_own_number() -> None:
    stage = Stage(TICKERS, TRADES)
    stage.connect(answered=False)
    assert stage.sent == [
        "subscribe ticker BTC/USD #1",
        "subscribe ticker XRP/USD #2",
        "subscribe trade BTC/USD #3",
    ]


def test_what_is_subscribed_to_twice_is_refused_at_once() -> None:
    with pytest.raises(InvalidValue, match="ticker BTC/USD is subscribed to twice"):
        Session(FakeFeed(), [TICKERS, ONE_TICKER])


def test_a_session_without_subscriptions_is_refused() -> None:
    with pytest.raises(InvalidValue, match="name at least one"):
        Session(FakeFeed(), [])


def test_no_more_requests_are_sent_than_may_wait_for_an_answer() -> None:
    stage = Stage(TICKERS, TRADES, in_flight=2)
    stage.connect(answered=False)
    assert len(stage.sent) == 2
    stage.answer(stage.sent[0])
    assert stage.sent[2:] == ["subscribe trade BTC/USD #3"]


def test_a_refused_subscription_is_told_and_not_asked_for_again() -> None:
    stage = Stage(TICKERS)
    stage.connect(answered=False)
    stage.answer(stage.sent[1], error="Currency pair not supported")
    stage.answer(stage.sent[0])
    stage.wait(50)
    assert stage.heard == [SubscriptionRefused(Channel.TICKER, XRP, "Currency pair not supported")]
    assert len(stage.sent) == 2
    assert stage.close is None


def test_what_was_refused_is_asked_for_again_after_some_minutes() -> None:
    stage = Stage(TICKERS, refused=timedelta(minutes=5), silence={})
    stage.connect(answered=False)
    stage.answer(stage.sent[1], error="no")
    stage.answer(stage.sent[0])
    stage.wait(299, step=1)
    assert len(stage.sent) == 2
    stage.wait(2)
    assert stage.sent[2:] == ["subscribe ticker XRP/USD #3"]
    stage.answer(stage.sent[2], error="still no")
    assert [each.reason for each in stage.of(SubscriptionRefused)] == ["no", "still no"]
    stage.wait(301, step=1)
    stage.accept()
    stage.say(ticker(pair=XRP))
    assert stage.of(Ticker) == [ticker(pair=XRP)]


def test_what_a_venue_in_maintenance_refused_is_asked_for_once_it_is_online() -> None:
    stage = Stage(TICKERS)
    stage.connect(answered=False)
    stage.answer(stage.sent[0])
    stage.say(VenueStatus("maintenance", ""))
    stage.answer(stage.sent[1], error="EService:Unavailable")
    stage.say(VenueStatus("post_only", ""))
    assert len(stage.sent) == 2
    stage.say(VenueStatus("online", ""))
    assert stage.sent[2:] == ["subscribe ticker XRP/USD #3"]
    stage.say(VenueStatus("online", ""))
    assert len(stage.sent) == 3


def test_a_new_connection_asks_again_for_what_was_refused() -> None:
    stage = Stage(TICKERS)
    stage.connect(answered=False)
    stage.answer(stage.sent[1], error="no")
    stage.drop()
    stage.connect(answered=False)
    assert stage.sent[2:] == ["subscribe ticker BTC/USD #3", "subscribe ticker XRP/USD #4"]


def test_a_venue_that_gives_nothing_at_all_ends_it() -> None:
    stage = Stage(ONE_TICKER)
    stage.connect(answered=False)
    stage.answer(stage.sent[0], error="EGeneral:Permission denied")
    assert stage.close is not None
    assert stage.close.end is End.REFUSED
    assert "EGeneral:Permission denied" in stage.close.reason


def test_a_venue_in_maintenance_that_gives_nothing_is_asked_again_later() -> None:
    stage = Stage(ONE_TICKER)
    stage.connect(answered=False)
    stage.say(VenueStatus("maintenance", ""))
    stage.answer(stage.sent[0], error="no")
    assert stage.close is not None
    assert stage.close.end is End.RETRY
    assert stage.session.maintenance


def test_what_was_given_before_and_is_refused_now_gets_a_new_connection_once() -> None:
    stage = connected(TICKERS)
    stage.say(ticker())
    stage.drop()
    stage.connect(answered=False)
    stage.answer("subscribe ticker BTC/USD #3", error="ESession:Invalid session")
    assert stage.close is not None
    stage.drop()
    stage.connect(answered=False)
    stage.answer("subscribe ticker BTC/USD #5", error="ESession:Invalid session")
    assert stage.of(SubscriptionRefused) == [
        SubscriptionRefused(Channel.TICKER, BTC, "ESession:Invalid session")
    ]
    assert stage.close is None


def test_an_answer_without_a_number_belongs_to_its_channel_and_pair() -> None:
    stage = Stage(TICKERS)
    stage.connect(answered=False)
    stage.answer(stage.sent[1], error="unknown", numbered=False)
    assert stage.of(SubscriptionRefused) == [SubscriptionRefused(Channel.TICKER, XRP, "unknown")]


def test_an_error_that_belongs_to_no_request_is_told() -> None:
    stage = connected(ONE_TICKER)
    error = Acknowledged(None, "", None, None, False, "Exceeded msg rate")
    stage.say(error)
    assert stage.heard == [error]


def test_a_key_that_is_not_accepted_closes_for_good() -> None:
    stage = connected(ONE_TICKER)
    stage.say(Acknowledged(None, "connect", None, None, False, "API key required"))
    assert stage.close is not None
    assert stage.close.end is End.NOT_AUTHORISED


def test_a_request_without_an_answer_is_repeated_and_then_the_connection_is_closed() -> None:
    stage = Stage(ONE_TICKER)
    stage.connect(answered=False)
    stage.wait(10.5)
    assert stage.sent[1:] == ["unsubscribe ticker BTC/USD #2"]
    stage.answer(stage.sent[1], error="Subscription Not Found")
    assert stage.sent[2:] == ["subscribe ticker BTC/USD #3"]
    stage.wait(60)
    assert stage.close is not None
    assert stage.close.reason == "no answer of ticker BTC/USD after asking 3 times"


def test_messages_are_answer_enough() -> None:
    stage = Stage(ONE_TICKER)
    stage.connect(answered=False)
    stage.say(ticker())
    stage.wait(50)
    assert len(stage.sent) == 1


def test_an_answer_that_comes_after_its_request_was_repeated_changes_nothing() -> None:
    stage = Stage(ONE_TICKER)
    stage.connect(answered=False)
    stage.wait(10.5)
    stage.answer("subscribe ticker BTC/USD #1", error="late")
    assert stage.heard == []


def test_a_new_connection_does_not_wait_for_the_answers_of_the_old_one() -> None:
    stage = Stage(TICKERS, in_flight=2)
    stage.connect(answered=False)
    stage.wait(9)
    stage.drop()
    stage.connect(answered=False)
    assert stage.asked("subscribe", "ticker") == 4
    stage.wait(5)
    assert stage.asked("unsubscribe", "ticker") == 0


def test_after_a_reconnect_everything_is_subscribed_to_again() -> None:
    stage = connected(TICKERS, TRADES)
    before = [frame.split(" #")[0] for frame in stage.sent]
    stage.drop()
    stage.sent.clear()
    stage._answered = 0
    stage.connect()
    assert [frame.split(" #")[0] for frame in stage.sent] == before
    assert stage.feed.restarts == 2


# --- silence ----------------------------------------------------------------------------------------------------


def test_a_connection_without_any_frame_is_closed() -> None:
    stage = connected(TICKERS)
    stage.wait(8, heartbeat=False)
    assert stage.close is None
    stage.wait(0.5, heartbeat=False)
    assert stage.close is not None
    assert stage.close.reason == "no frame for 8 seconds"


def test_a_channel_that_falls_silent_among_heartbeats_is_unknown_until_it_speaks_again() -> None:
    stage = connected(ONE_TICKER, silence={Channel.TICKER: timedelta(seconds=30)})
    stage.say(ticker())
    stage.wait(30.25)
    assert stage.heard[1:] == [Interrupted(Channel.TICKER, BTC, at(0), "the channel fell silent")]
    assert stage.sent[1:] == ["unsubscribe ticker BTC/USD #2"]
    stage.accept()
    assert stage.sent[2:] == ["subscribe ticker BTC/USD #3"]
    stage.wait(1)
    stage.say(ticker(101.0))
    assert stage.heard[2:] == [
        Unknown(Channel.TICKER, BTC, at(0), at(31.25), "the channel fell silent"),
        Restored(Channel.TICKER, BTC, at(31.25)),
        ticker(101.0),
    ]
    assert stage.close is None


def test_only_the_silent_pair_is_asked_for_again() -> None:
    stage = connected(TICKERS, silence={Channel.TICKER: timedelta(seconds=30)})
    for _ in range(4):
        stage.say(ticker(pair=XRP))
        stage.wait(8)
    assert stage.sent[2:] == ["unsubscribe ticker BTC/USD #3"]


def test_a_channel_that_stays_silent_although_it_is_asked_for_again_closes_the_connection() -> None:
    stage = connected(ONE_TICKER, silence={Channel.TICKER: timedelta(seconds=30)})
    for _ in range(3):
        stage.wait(30.25)
        stage.accept()
    assert stage.close is not None
    assert stage.close.reason == "no message of ticker BTC/USD after asking 3 times"


ACCOUNT = [EXECUTIONS, Subscription(Channel.BALANCES), Subscription(Channel.INSTRUMENT)]


@pytest.mark.parametrize("subscription", ACCOUNT, ids=lambda each: each.channel)
def test_what_may_be_silent_for_ever_is_asked_again_and_nothing_of_it_is_unknown(
    subscription: Subscription,
) -> None:
    stage = connected(subscription)
    for _ in range(5):
        stage.wait(900.5, step=5)
        stage.accept()
    assert stage.asked("subscribe", subscription.channel) == 6
    assert stage.heard == []
    assert stage.close is None


def test_a_subscription_of_our_orders_that_died_is_noticed_by_its_renewal() -> None:
    stage = connected(EXECUTIONS, renewal=timedelta(seconds=60))
    stage.say(execution(1, snapshot=True), execution(1, snapshot=True, order="O2"))
    stage.wait(60.5)
    stage.say(execution(2))  # it lives after all, and is in order
    stage.accept()
    stage.say(execution(2, order="O3"))  # the empty snapshot said nothing
    assert [each.sequence for each in stage.of(Execution)] == [1, 1, 2, 2]
    assert stage.of(Interrupted) == []


def test_a_gap_that_is_seen_while_our_orders_are_asked_again_is_unknown() -> None:
    stage = connected(EXECUTIONS, renewal=timedelta(seconds=60))
    stage.say(execution(1, snapshot=True))
    stage.wait(60.5)
    stage.say(execution(3))
    stage.accept()
    assert stage.of(Unknown) == [Unknown(Channel.EXECUTIONS, None, at(0), at(60.5), "message 3 came after 1")]


def test_our_orders_that_nobody_gives_again_close_the_connection() -> None:
    stage = connected(EXECUTIONS, renewal=timedelta(seconds=60))
    stage.wait(150)
    assert stage.close is not None
    assert stage.close.reason == "no answer of executions after asking 3 times"


def test_a_quiet_market_loses_no_trades_when_it_is_asked_again() -> None:
    stage = connected(TRADES, silence={Channel.TRADE: timedelta(seconds=60)})
    stage.say(trade(1), trade(2))
    stage.wait(60.25)
    stage.accept()
    stage.say(trade(1), trade(2))
    stage.wait(3)
    assert [type(each) for each in stage.heard] == [Trade, Trade, Interrupted, Restored]


# --- the end of a connection ------------------------------------------------------------------------------------


def test_what_happened_without_a_connection_is_unknown() -> None:
    stage = connected(ONE_TICKER)
    stage.wait(1)
    stage.say(ticker())
    stage.wait(4)
    stage.drop("cut")
    assert stage.heard[1:] == [Interrupted(Channel.TICKER, BTC, at(1), "cut")]
    stage.now = 20
    stage.connect()
    stage.wait(1)
    stage.say(ticker())
    assert stage.heard[2:-1] == [
        Unknown(Channel.TICKER, BTC, at(1), at(21), "cut"),
        Restored(Channel.TICKER, BTC, at(21)),
    ]


def test_connections_that_end_before_anything_is_heard_lengthen_one_interval() -> None:
    stage = connected(ONE_TICKER)
    stage.say(ticker())
    for second in (10, 20, 30):
        stage.drop(f"cut {second}")
        stage.now = float(second)
        stage.connect(answered=False)
    stage.say(ticker())
    assert stage.of(Unknown) == [Unknown(Channel.TICKER, BTC, at(0), at(30), "cut 10")]
    assert len(stage.of(Interrupted)) == 1


def test_trades_that_a_new_connection_tells_again_close_the_gap() -> None:
    stage = connected(TRADES)
    stage.say(trade(1), trade(2))
    stage.drop()
    stage.now = 10
    stage.connect()
    stage.say(trade(1), trade(2), trade(3), trade(4))
    stage.wait(5)
    assert stage.of(Trade) == [trade(1), trade(2), trade(3), trade(4)]
    assert stage.of(Unknown) == []
    assert len(stage.of(Restored)) == 1


def test_trades_that_nobody_told_again_are_unknown() -> None:
    stage = connected(TRADES)
    stage.say(trade(1))
    stage.drop()
    stage.now = 10
    stage.connect()
    stage.say(trade(5), trade(6))
    stage.wait(2.25)
    assert stage.of(Unknown) == [Unknown(Channel.TRADE, BTC, at(1), at(5), "trades 2 to 4 are missing")]
    assert stage.of(Trade) == [trade(1), trade(5), trade(6)]


def test_a_gap_at_the_end_of_a_connection_can_be_filled_by_the_next_one() -> None:
    stage = connected(TRADES)
    stage.say(trade(1))
    stage.say(trade(3))
    stage.drop()
    stage.now = 60
    stage.connect()
    stage.wait(3)
    stage.say(trade(4))
    stage.wait(1)
    stage.say(trade(1), trade(2), trade(3), trade(4))
    assert stage.of(Trade) == [trade(1), trade(2), trade(3), trade(4)]
    assert stage.of(Unknown) == []


def test_without_ids_an_interruption_of_trades_is_unknown() -> None:
    stage = connected(TRADES)
    stage.say(trade(None, 0))
    stage.drop("cut")
    stage.now = 10
    stage.connect()
    stage.say(trade(None, 9))
    assert stage.of(Unknown) == [Unknown(Channel.TRADE, BTC, at(0), at(10), "cut")]


def test_our_own_orders_are_unknown_until_the_venue_confirms_the_new_subscription() -> None:
    stage = connected(EXECUTIONS)  # with no order open, the snapshot is empty and says nothing
    stage.wait(5)
    stage.drop("cut")
    stage.now = 20
    stage.connect()
    assert stage.of(Unknown) == [Unknown(Channel.EXECUTIONS, None, at(0), at(20), "cut")]


def test_what_is_still_unknown_at_the_end_is_told() -> None:
    stage = connected(ONE_TICKER, TRADES)
    stage.say(ticker())
    stage.say(trade(1))
    stage.say(trade(3))
    stage.drop("cut")
    stage.now = 30
    stage.forget()
    stage.end()
    assert stage.heard == [
        Unknown(Channel.TRADE, BTC, at(1), at(3), "trade 2 is missing"),
        trade(3),
        Unknown(Channel.TICKER, BTC, at(0), at(30), "cut"),
        Unknown(Channel.TRADE, BTC, at(0), at(30), "cut"),
    ]


def test_an_interval_does_not_end_before_it_began_when_our_clock_is_set_back() -> None:
    stage = connected(ONE_TICKER)
    stage.now = 100
    stage.say(ticker())
    stage.drop("cut")
    stage.now = 50
    stage.connect()
    stage.say(ticker())
    assert stage.of(Unknown) == [Unknown(Channel.TICKER, BTC, at(100), at(100), "cut")]


# --- books ------------------------------------------------------------------------------------------------------


def with_book(**settings: object) -> tuple[Stage, VenueBook]:
    stage, venue = connected(BOOK, **settings), VenueBook()
    stage.say(listed(), listed(XRP))
    stage.accept()
    stage.say(venue.snapshot())
    return stage, venue


def test_a_book_waits_for_the_decimals_that_the_venue_lists() -> None:
    stage = connected(BOOK)
    assert stage.sent == ["subscribe instrument #1"]
    stage.say(listed(XRP), listed(BTC))
    assert stage.sent[1:] == ["subscribe book BTC/USD #2"]


def test_listings_that_nobody_wanted_are_not_told() -> None:
    stage, _ = with_book()
    assert stage.of(Listed) == []
    stage = connected(BOOK, Subscription(Channel.INSTRUMENT))
    stage.say(listed())
    assert stage.of(Listed) == [listed()]


def test_a_book_of_a_pair_that_is_not_listed_is_refused() -> None:
    stage = connected(BOOK, ONE_TICKER)
    stage.say(listed(XRP))
    for _ in range(6):
        stage.say(ticker())
        stage.wait(2)
    assert stage.of(SubscriptionRefused) == [
        SubscriptionRefused(Channel.BOOK, BTC, "fake does not list BTC/USD")
    ]


def test_a_book_that_is_listed_later_is_asked_for_then() -> None:
    stage = connected(BOOK, ONE_TICKER)
    stage.say(listed(XRP))
    stage.wait(10.5)
    assert len(stage.of(SubscriptionRefused)) == 1
    stage.say(listed(BTC))
    assert stage.sent[-1] == "subscribe book BTC/USD #3"


def test_listings_are_asked_for_again_for_a_book_that_was_not_among_them() -> None:
    stage = connected(BOOK, ONE_TICKER, refused=timedelta(seconds=30))
    stage.say(listed(XRP))
    stage.wait(41)
    stage.accept()
    assert stage.asked("subscribe", "instrument") == 2
    stage.say(listed(XRP))
    stage.wait(10.5)
    assert [each.channel for each in stage.of(SubscriptionRefused)] == [Channel.BOOK] * 2
    assert stage.of(Interrupted) == []


def odd(pair: Pair | None) -> Unreadable:
    return Unreadable("instrument", pair, "status is 'sideways'", "{...}")


@pytest.mark.parametrize("pair", [BTC, None])
def test_a_wanted_pair_with_an_odd_listing_is_left_for_another_connection(pair: Pair | None) -> None:
    stage = connected(BOOK)
    stage.say(listed(XRP), odd(pair))
    assert [(each.frame, each.channel) for each in stage.undecodable] == [("{...}", "instrument")]
    stage.wait(10.5)
    assert stage.of(SubscriptionRefused)[0].reason == (
        "fake's listing of BTC/USD cannot be read: status is 'sideways'"
    )
    assert stage.close is not None
    assert stage.close.end is End.RETRY
    assert "cannot be read" in stage.close.reason


def test_an_odd_listing_of_another_pair_changes_nothing() -> None:
    stage = connected(BOOK)
    stage.say(odd(XRP), listed(BTC))
    assert stage.sent[1:] == ["subscribe book BTC/USD #2"]
    stage = connected(BOOK)
    stage.say(odd(XRP))
    stage.wait(10.5)
    assert stage.close is not None
    assert stage.close.end is End.REFUSED


def test_an_odd_listing_is_told_to_those_who_want_listings() -> None:
    stage = connected(Subscription(Channel.INSTRUMENT))
    stage.say(odd(BTC))
    assert stage.heard == [odd(BTC)]
    assert stage.close is None


def test_books_are_refused_when_listings_are() -> None:
    stage = Stage(BOOK, ONE_TICKER)
    stage.connect(answered=False)
    stage.answer("subscribe instrument #1", error="no")
    stage.wait(1)
    refused = [each.channel for each in stage.of(SubscriptionRefused)]
    assert refused == [Channel.INSTRUMENT, Channel.BOOK]


def test_changes_of_a_book_are_told_with_the_best_offers_when_those_change() -> None:
    stage, venue = with_book()
    stage.forget()
    deep, best = venue.change(bids="98.0 2.00"), venue.change(bids="99.5 1.00")
    stage.say(deep)
    stage.say(best)
    [bid], [ask] = levels("99.5 1.00"), levels("101.0 1.00")
    assert stage.heard == [deep, best, BestOffers(BTC, bid, ask, None)]
    assert stage.session.books[BTC].best_bid == bid


def test_a_wrong_checksum_makes_the_book_unknown_until_the_next_snapshot() -> None:
    stage, venue = with_book()
    stage.wait(1)
    stage.say(venue.change(bids="98.0 2.00"))
    stage.wait(1)
    stage.forget()
    lost = venue.change(bids="97.0 2.00")
    stage.say(venue.change(bids="96.0 2.00"))
    [interrupted] = stage.heard
    assert (interrupted.channel, interrupted.since) == (Channel.BOOK, at(1))
    assert "checksum" in interrupted.reason
    assert stage.session.books == {}
    assert stage.sent[-1] == "unsubscribe book BTC/USD #3"
    stage.say(venue.change(bids="95.0 2.00"))  # still of the old subscription
    assert stage.heard == [interrupted]
    stage.accept()
    stage.wait(1)
    again = venue.again()
    stage.say(again)
    assert stage.heard[1:3] == [
        Unknown(Channel.BOOK, BTC, at(1), at(3), interrupted.reason),
        Restored(Channel.BOOK, BTC, at(3)),
    ]
    assert stage.heard[3] == again
    assert stage.session.books[BTC].bids()[2] == lost.bids[0]
    assert stage.asked("subscribe", "book") == 2


def test_what_an_old_subscription_still_says_is_not_taken_for_the_new_one() -> None:
    stage, venue = connected(BOOK), VenueBook()
    stage.say(listed())
    stage.say(venue.snapshot())  # the answer is late
    stage.say(replace(venue.change(bids="98.0 2.00"), checksum=1))
    stage.answer("subscribe book BTC/USD #2")
    stage.forget()
    stage.say(venue.again())
    assert stage.heard == []
    stage.accept()
    stage.say(venue.again())
    assert [type(each) for each in stage.heard] == [Unknown, Restored, BookChange, BestOffers]


def test_the_frame_with_the_wrong_checksum_is_kept_for_inspection() -> None:
    stage, venue = with_book()
    frame = stage.feed.says(replace(venue.change(bids="98.0 2.00"), checksum=1))
    stage.receive(frame)
    assert [(each.frame, each.channel) for each in stage.undecodable] == [(frame, "book")]


def test_a_book_that_never_gets_right_closes_the_connection() -> None:
    stage, venue = with_book(breaks=3)
    for _ in range(4):
        stage.say(replace(venue.change(bids="98.0 2.00"), checksum=1))
        stage.accept()
        stage.say(venue.again())
    assert stage.close is not None
    assert stage.close.reason.startswith("book BTC/USD broke 4 times in 60 seconds")


def test_a_snapshot_that_does_not_come_is_asked_for_again() -> None:
    stage = connected(BOOK)
    stage.say(listed())
    stage.accept()
    stage.wait(10.25)
    assert stage.sent[-1] == "unsubscribe book BTC/USD #3"


def test_a_book_falls_away_with_its_connection() -> None:
    stage, venue = with_book()
    stage.drop()
    assert stage.session.books == {}
    stage.connect()
    stage.say(venue.change(bids="98.0 2.00"))
    assert stage.session.books == {}
    stage.say(venue.again())
    assert stage.session.books[BTC].known


def test_new_decimals_of_a_listing_begin_the_book_anew() -> None:
    stage, _ = with_book()
    stage.say(listed(decimals=(2, 2)))
    assert "other decimals" in stage.of(Interrupted)[0].reason
    stage.accept()
    stage.say(VenueBook(decimals=(2, 2)).snapshot(bids="99.01 1.00", asks="99.02 1.00"))
    assert stage.session.books[BTC].best_bid == levels("99.01 1.00")[0]


def test_a_book_without_checksums_is_followed_by_its_numbers() -> None:
    venue = VenueBook()
    stage = connected(BOOK, books=Books.WHOLE)
    changes = numbered(
        [venue.snapshot(), *(venue.change(bids=f"{90 + n}.0 1.00") for n in range(4))], first=10
    )
    for change in (*changes[:2], changes[1], changes[0 + 1], changes[2]):
        stage.say(change)
    assert stage.of(BookChange) == changes[:3]
    stage.say(changes[4])
    assert stage.of(Interrupted)[0].reason == "BTC/USD: message 14 came after 12"
    assert stage.asked("subscribe", "instrument") == 0


def test_a_book_without_checksums_is_not_believed_once_its_sides_cross() -> None:
    stage = connected(BOOK, books=Books.WHOLE)
    stage.say(BookChange(BTC, True, levels("99.0 1"), levels("100.0 1"), None, 1, None))
    stage.say(BookChange(BTC, False, levels("100.0 1"), (), None, 2, None))
    assert "is not below ask" in stage.of(Interrupted)[0].reason
    assert stage.session.books == {}
    assert len(stage.of(BestOffers)) == 1
    assert stage.sent[-1] == "unsubscribe book BTC/USD #2"


def test_a_whole_book_is_not_cut_to_a_depth() -> None:
    stage = connected(dataclasses.replace(BOOK, depth=10), books=Books.WHOLE)
    bids = ", ".join(f"{90 - n}.5 0.00000000{n + 1}" for n in range(15))
    stage.say(BookChange(BTC, True, levels(bids), (), None, 1, None))
    assert len(stage.session.books[BTC].bids()) == 15


# --- our own orders ---------------------------------------------------------------------------------------------


def test_a_missing_message_about_our_orders_asks_for_all_of_them_again() -> None:
    stage = connected(EXECUTIONS)
    stage.say(execution(1, snapshot=True), execution(1, snapshot=True, order="O2"))
    stage.wait(1)
    stage.say(execution(2))
    stage.wait(1)
    stage.say(execution(4), execution(4, order="O2"))
    assert stage.of(Interrupted) == [Interrupted(Channel.EXECUTIONS, None, at(1), "message 4 came after 2")]
    assert [each.sequence for each in stage.of(Execution)] == [1, 1, 2, 4, 4]
    assert stage.of(Restored) == []
    stage.wait(1)
    stage.accept()
    stage.say(execution(1, snapshot=True))
    stage.say(execution(2))
    assert stage.of(Unknown) == [Unknown(Channel.EXECUTIONS, None, at(1), at(3), "message 4 came after 2")]
    assert stage.asked("subscribe", "executions") == 2


def test_a_message_about_our_orders_that_came_twice_is_told_once() -> None:
    stage = connected(EXECUTIONS)
    for sequence in (1, 2, 2, 3):
        stage.say(execution(sequence))
    assert [each.sequence for each in stage.of(Execution)] == [1, 2, 3]
    assert stage.of(Interrupted) == []


def test_a_new_connection_counts_its_messages_anew() -> None:
    stage = connected(EXECUTIONS)
    stage.say(execution(1), execution(2))
    stage.drop()
    stage.connect()
    stage.say(execution(2))  # the first was an empty snapshot, which says nothing
    assert [each.sequence for each in stage.of(Execution)] == [1, 2, 2]
    assert len(stage.of(Interrupted)) == 1


def test_numbers_that_go_back_are_a_gap_too() -> None:
    stage = connected(EXECUTIONS)
    for sequence in (1, 2, 3, 1):
        stage.say(execution(sequence))
    assert stage.of(Interrupted)[0].reason == "message 1 came after 3"


# --- what cannot be believed ------------------------------------------------------------------------------------


def test_an_unreadable_message_is_put_aside_and_the_connection_goes_on() -> None:
    stage = connected(ONE_TICKER)
    stage.receive(b"\xff garbage")
    stage.say(ticker())
    assert [(each.frame, each.channel) for each in stage.undecodable] == [(b"\xff garbage", "trade")]
    assert stage.of(Ticker) == [ticker()]
    assert stage.close is None


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
def test_an_unreadable_message_interrupts_what_it_may_have_belonged_to(
    subscription: Subscription, frame: str | bytes, pairs: list[Pair | None]
) -> None:
    stage = connected(subscription, books=Books.WHOLE)
    stage.wait(1)
    stage.receive(frame)
    assert [each.pair for each in stage.of(Interrupted)] == pairs
    assert len(stage.undecodable) == 1
    assert stage.asked("unsubscribe", subscription.channel) == len(pairs)


def test_an_unreadable_fill_leaves_our_orders_unknown_until_they_are_told_again() -> None:
    stage = connected(EXECUTIONS)
    stage.say(execution(1))
    stage.wait(1)
    stage.receive('{"channel":"executions","data":"spoilt"}')
    stage.wait(1)
    stage.accept()
    [unknown] = stage.of(Unknown)
    assert (unknown.channel, unknown.since, unknown.until) == (Channel.EXECUTIONS, at(0), at(2))
    assert unknown.reason.startswith("a message could not be read: what is")
    assert stage.asked("subscribe", "executions") == 2
    stage.say(execution(1, snapshot=True))
    assert stage.of(Execution) == [execution(1), execution(1, snapshot=True)]


def test_what_is_unreadable_while_a_stream_is_left_does_not_break_it_once_more() -> None:
    stage = connected(EXECUTIONS, breaks=1)
    for _ in range(3):
        stage.receive('{"channel":"executions"}')
    assert stage.close is None
    assert stage.asked("unsubscribe", "executions") == 1


def test_a_stream_that_is_unreadable_again_and_again_closes_the_connection() -> None:
    stage = connected(EXECUTIONS, breaks=3)
    for _ in range(4):
        stage.receive('{"channel":"executions"}')
        stage.accept()
    assert stage.close is not None
    assert stage.close.reason.startswith("executions broke 4 times in 60 seconds")


def test_a_flood_of_unreadable_messages_closes_the_connection() -> None:
    stage = connected(ONE_TICKER, undecodable=5)
    for _ in range(5):
        stage.receive("garbage")
    assert stage.close is None
    stage.receive("garbage")
    assert stage.close is not None
    assert stage.close.reason.startswith("6 unreadable messages in 60 seconds")


def test_unreadable_messages_far_apart_are_no_flood() -> None:
    stage = connected(EXECUTIONS, undecodable=5)
    for _ in range(20):
        stage.receive("garbage")
        stage.wait(20, step=5)
    assert stage.close is None


def test_messages_that_nobody_subscribed_to_are_put_aside_once_a_frame() -> None:
    stage = connected(ONE_TICKER, Subscription(Channel.CANDLE, (BTC,)))
    stage.say(ticker(pair=XRP), ticker(pair=XRP))
    stage.say(trade(1))
    stage.say(Candle(BTC, Timeframe.H1, at(0), 1, 1, 1, 1, 1, 1))
    assert [each.reason for each in stage.undecodable] == [
        "nobody subscribed to XRP/USD",
        "nobody subscribed to BTC/USD",
        "nobody subscribed to BTC/USD of 1h",
    ]
    assert stage.heard == []


def test_heartbeats_and_expected_answers_are_not_told() -> None:
    stage = connected(TICKERS)
    stage.say(Heartbeat())
    assert stage.heard == []


def test_the_venues_own_status_is_told_and_remembered() -> None:
    stage = connected(ONE_TICKER)
    stage.say(VenueStatus("maintenance", "1"))
    stage.drop()
    assert stage.of(VenueStatus) == [VenueStatus("maintenance", "1")]
    assert stage.session.maintenance
    stage.connect()
    stage.say(VenueStatus("online", "2"))
    assert not stage.session.maintenance


def test_the_settings_of_one_session_are_not_those_of_another() -> None:
    SessionSettings().silence.clear()
    assert Channel.BOOK in SessionSettings().silence
