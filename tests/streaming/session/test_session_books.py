"""Order books in a session: listings, checksums, sequences and snapshots."""

import dataclasses
from datetime import timedelta

import pytest
from msgspec.structs import replace

from streaming.events import (
    BookChange,
    Channel,
    InstrumentListing,
    Subscription,
    UnknownInterval,
    UnreadableMessage,
)
from streaming.session.output import CloseKind, Interrupted, Restored, SubscriptionRefused, TopOfBook
from streaming.session.settings import BookMode
from tests.streaming.kraken_recordings import levels
from tests.streaming.session.session_fakes import (
    BTC,
    XRP,
    SessionHarness,
    VenueBook,
    at,
    connected,
    listing,
    ticker,
    with_sequence,
)
from trading.market import Pair

ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
BOOK = Subscription(Channel.BOOK, (BTC,))


def with_book(**settings: object) -> tuple[SessionHarness, VenueBook]:
    harness, venue = connected(BOOK, **settings), VenueBook()
    harness.receive(listing(), listing(XRP))
    harness.confirm_all()
    harness.receive(venue.snapshot())
    return harness, venue


def test_a_book_waits_for_the_decimals_that_the_venue_lists() -> None:
    harness = connected(BOOK)
    assert harness.sent == ["subscribe instrument #1"]
    harness.receive(listing(XRP), listing(BTC))
    assert harness.sent[1:] == ["subscribe book BTC/USD #2"]


def test_listings_that_were_not_subscribed_to_are_not_passed_on() -> None:
    harness, _ = with_book()
    assert harness.events_of(InstrumentListing) == []
    harness = connected(BOOK, Subscription(Channel.INSTRUMENT))
    harness.receive(listing())
    assert harness.events_of(InstrumentListing) == [listing()]


def test_a_book_of_a_pair_that_is_not_listed_is_refused() -> None:
    harness = connected(BOOK, ONE_TICKER)
    harness.receive(listing(XRP))
    for _ in range(6):
        harness.receive(ticker())
        harness.advance(2)
    assert harness.events_of(SubscriptionRefused) == [
        SubscriptionRefused(Channel.BOOK, BTC, "fake does not list BTC/USD")
    ]


def test_a_book_that_is_listed_later_is_subscribed_to_then() -> None:
    harness = connected(BOOK, ONE_TICKER)
    harness.receive(listing(XRP))
    harness.advance(10.5)
    assert len(harness.events_of(SubscriptionRefused)) == 1
    harness.receive(listing(BTC))
    assert harness.sent[-1] == "subscribe book BTC/USD #3"


def test_listings_are_requested_again_for_a_book_that_was_not_among_them() -> None:
    harness = connected(BOOK, ONE_TICKER, refused_retry_interval=timedelta(seconds=30))
    harness.receive(listing(XRP))
    harness.advance(41)
    harness.confirm_all()
    assert harness.count_requests("subscribe", "instrument") == 2
    harness.receive(listing(XRP))
    harness.advance(10.5)
    assert [each.channel for each in harness.events_of(SubscriptionRefused)] == [Channel.BOOK] * 2
    assert harness.events_of(Interrupted) == []


def unreadable(pair: Pair | None) -> UnreadableMessage:
    return UnreadableMessage("instrument", pair, "status is 'sideways'", "{...}")


@pytest.mark.parametrize("pair", [BTC, None])
def test_a_pair_whose_listing_is_unreadable_is_retried_on_another_connection(pair: Pair | None) -> None:
    harness = connected(BOOK)
    harness.receive(listing(XRP), unreadable(pair))
    assert [(each.frame, each.channel) for each in harness.rejected] == [("{...}", "instrument")]
    harness.advance(10.5)
    assert harness.events_of(SubscriptionRefused)[0].reason == (
        "fake's listing of BTC/USD cannot be read: status is 'sideways'"
    )
    assert harness.close is not None
    assert harness.close.kind is CloseKind.RETRY
    assert "cannot be read" in harness.close.reason


def test_an_unreadable_listing_of_another_pair_changes_nothing() -> None:
    harness = connected(BOOK)
    harness.receive(unreadable(XRP), listing(BTC))
    assert harness.sent[1:] == ["subscribe book BTC/USD #2"]
    harness = connected(BOOK)
    harness.receive(unreadable(XRP))
    harness.advance(10.5)
    assert harness.close is not None
    assert harness.close.kind is CloseKind.REFUSED


def test_an_unreadable_listing_is_passed_on_when_listings_were_subscribed_to() -> None:
    harness = connected(Subscription(Channel.INSTRUMENT))
    harness.receive(unreadable(BTC))
    assert harness.events == [unreadable(BTC)]
    assert harness.close is None


def test_books_are_refused_when_listings_are() -> None:
    harness = SessionHarness(BOOK, ONE_TICKER)
    harness.connect(confirm=False)
    harness.respond("subscribe instrument #1", error="no")
    harness.advance(1)
    refused = [each.channel for each in harness.events_of(SubscriptionRefused)]
    assert refused == [Channel.INSTRUMENT, Channel.BOOK]


def test_book_changes_are_passed_on_with_the_top_of_book_when_it_changes() -> None:
    harness, venue = with_book()
    harness.clear_events()
    deep, best = venue.change(bids="98.0 2.00"), venue.change(bids="99.5 1.00")
    harness.receive(deep)
    harness.receive(best)
    [bid], [ask] = levels("99.5 1.00"), levels("101.0 1.00")
    assert harness.events == [deep, best, TopOfBook(BTC, bid, ask, None)]
    assert harness.session.books[BTC].best_bid == bid


def test_a_wrong_checksum_makes_the_book_unknown_until_the_next_snapshot() -> None:
    harness, venue = with_book()
    harness.advance(1)
    harness.receive(venue.change(bids="98.0 2.00"))
    harness.advance(1)
    harness.clear_events()
    lost = venue.change(bids="97.0 2.00")
    harness.receive(venue.change(bids="96.0 2.00"))
    [interrupted] = harness.events
    assert (interrupted.channel, interrupted.since) == (Channel.BOOK, at(1))
    assert "checksum" in interrupted.reason
    assert harness.session.books == {}
    assert harness.sent[-1] == "unsubscribe book BTC/USD #3"
    harness.receive(venue.change(bids="95.0 2.00"))  # still of the old subscription
    assert harness.events == [interrupted]
    harness.confirm_all()
    harness.advance(1)
    again = venue.snapshot_now()
    harness.receive(again)
    assert harness.events[1:3] == [
        UnknownInterval(Channel.BOOK, BTC, at(1), at(3), interrupted.reason),
        Restored(Channel.BOOK, BTC, at(3)),
    ]
    assert harness.events[3] == again
    assert harness.session.books[BTC].bids()[2] == lost.bids[0]
    assert harness.count_requests("subscribe", "book") == 2


def test_late_messages_of_an_old_subscription_are_not_taken_for_the_new_one() -> None:
    harness, venue = connected(BOOK), VenueBook()
    harness.receive(listing())
    harness.receive(venue.snapshot())  # the answer is late
    harness.receive(replace(venue.change(bids="98.0 2.00"), checksum=1))
    harness.respond("subscribe book BTC/USD #2")
    harness.clear_events()
    harness.receive(venue.snapshot_now())
    assert harness.events == []
    harness.confirm_all()
    harness.receive(venue.snapshot_now())
    assert [type(each) for each in harness.events] == [UnknownInterval, Restored, BookChange, TopOfBook]


def test_the_frame_with_the_wrong_checksum_is_stored_for_inspection() -> None:
    harness, venue = with_book()
    frame = harness.feed.frame_of(replace(venue.change(bids="98.0 2.00"), checksum=1))
    harness.receive_frame(frame)
    assert [(each.frame, each.channel) for each in harness.rejected] == [(frame, "book")]


def test_a_book_that_breaks_again_and_again_closes_the_connection() -> None:
    harness, venue = with_book(max_breaks=3)
    for _ in range(4):
        harness.receive(replace(venue.change(bids="98.0 2.00"), checksum=1))
        harness.confirm_all()
        harness.receive(venue.snapshot_now())
    assert harness.close is not None
    assert harness.close.reason.startswith("book BTC/USD broke 4 times in 60 seconds")


def test_a_missing_snapshot_is_requested_again() -> None:
    harness = connected(BOOK)
    harness.receive(listing())
    harness.confirm_all()
    harness.advance(10.25)
    assert harness.sent[-1] == "unsubscribe book BTC/USD #3"


def test_a_book_is_dropped_with_its_connection() -> None:
    harness, venue = with_book()
    harness.drop()
    assert harness.session.books == {}
    harness.connect()
    harness.receive(venue.change(bids="98.0 2.00"))
    assert harness.session.books == {}
    harness.receive(venue.snapshot_now())
    assert harness.session.books[BTC].is_valid


def test_new_decimals_in_a_listing_start_the_book_again() -> None:
    harness, _ = with_book()
    harness.receive(listing(decimals=(2, 2)))
    assert "other decimals" in harness.events_of(Interrupted)[0].reason
    harness.confirm_all()
    harness.receive(VenueBook(decimals=(2, 2)).snapshot(bids="99.01 1.00", asks="99.02 1.00"))
    assert harness.session.books[BTC].best_bid == levels("99.01 1.00")[0]


def test_a_book_without_checksums_is_verified_by_its_sequence_numbers() -> None:
    venue = VenueBook()
    harness = connected(BOOK, book_mode=BookMode.FULL_DEPTH)
    changes = with_sequence(
        [venue.snapshot(), *(venue.change(bids=f"{90 + n}.0 1.00") for n in range(4))], first=10
    )
    for change in (*changes[:2], changes[1], changes[0 + 1], changes[2]):
        harness.receive(change)
    assert harness.events_of(BookChange) == changes[:3]
    harness.receive(changes[4])
    assert harness.events_of(Interrupted)[0].reason == "BTC/USD: message 14 came after 12"
    assert harness.count_requests("subscribe", "instrument") == 0


def test_a_book_without_checksums_is_invalid_once_its_sides_cross() -> None:
    harness = connected(BOOK, book_mode=BookMode.FULL_DEPTH)
    harness.receive(BookChange(BTC, True, levels("99.0 1"), levels("100.0 1"), None, 1, None))
    harness.receive(BookChange(BTC, False, levels("100.0 1"), (), None, 2, None))
    assert "is not below ask" in harness.events_of(Interrupted)[0].reason
    assert harness.session.books == {}
    assert len(harness.events_of(TopOfBook)) == 1
    assert harness.sent[-1] == "unsubscribe book BTC/USD #2"


def test_a_book_of_full_depth_is_not_truncated() -> None:
    harness = connected(dataclasses.replace(BOOK, depth=10), book_mode=BookMode.FULL_DEPTH)
    bids = ", ".join(f"{90 - n}.5 0.00000000{n + 1}" for n in range(15))
    harness.receive(BookChange(BTC, True, levels(bids), (), None, 1, None))
    assert len(harness.session.books[BTC].bids()) == 15
