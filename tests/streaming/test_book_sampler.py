"""Samples of order books: on the grid, only while the book is proven to be the venue's, and silence where it is not."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streaming.book_sampler import BookSampler
from streaming.events import BookChange, Channel, Heartbeat, Subscription
from streaming.messages import BookMessage
from streaming.order_book import OrderBook
from streaming.session.output import Interrupted, Restored
from tests.streaming.session.session_fakes import (
    BTC,
    SessionHarness,
    VenueBook,
    at,
    listing,
    trade,
)
from trading.errors import InvalidValue

SECOND = timedelta(seconds=1)


class HeardHarness(SessionHarness):
    """A session whose newest frame is known, as the recorder knows it."""

    heard_at = at(-1e6)

    def receive_frame(self, frame: str | bytes) -> None:
        self.heard_at = at(self.now)
        super().receive_frame(frame)


def listening() -> HeardHarness:
    harness = HeardHarness(Subscription(Channel.BOOK, (BTC,)))
    harness.connect()
    return harness


@dataclass
class Recording:
    """A session, its book and the sampler behind it, as the recorder runs them; the venue's clock is ours."""

    interval: timedelta = SECOND
    harness: HeardHarness = field(default_factory=listening)
    venue: VenueBook = field(default_factory=VenueBook)
    samples: list[BookMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sampler = BookSampler("fake", self.interval)
        self.harness.receive(listing())
        self.harness.confirm_all()
        self.send(self.venue.snapshot())

    def send(self, change: BookChange, sent_at: datetime | None = None) -> None:
        self.harness.receive(replace(change, at=sent_at or at(self.harness.now)))
        self.look()

    def look(self) -> list[BookMessage]:
        """Sample as the recorder does: after the events so far, by a clock of its own."""
        for event in self.harness.events:
            self.sampler.observe(event, at(self.harness.now))
        self.harness.clear_events()
        now = at(self.harness.now)
        new = self.sampler.sample(self.harness.session.books, now, self.harness.heard_at, now)
        self.samples += new
        return new

    def advance(self, seconds: float, step: float = 0.25, heartbeat: bool = True) -> None:
        until = self.harness.now + seconds
        while self.harness.now < until:
            self.harness.advance(step, heartbeat, step)
            self.look()

    @property
    def times(self) -> list[datetime]:
        return [each.at for each in self.samples]


def test_a_verified_book_is_sampled_once_at_every_moment_of_the_grid() -> None:
    recording = Recording()
    recording.advance(5)
    assert recording.times == [at(second) for second in (1, 2, 3, 4, 5)]


def test_a_sample_has_the_best_levels_as_numbers_and_says_when_it_was_known_and_changed_last() -> None:
    recording = Recording()
    recording.advance(0.5)
    recording.send(recording.venue.change(bids="99.5 2.25", asks="100.5 0.75"))
    recording.advance(0.75)
    [sample] = recording.samples
    assert (sample.origin, sample.pair, sample.at) == ("fake", "BTC/USD", at(1))
    assert sample.bids == [(99.5, 2.25), (99.0, 1.0)]
    assert sample.asks == [(100.5, 0.75), (101.0, 1.0)]
    assert (sample.changed_at, sample.known_at) == (at(0.5), at(1))


def test_no_more_than_ten_levels_of_each_side_are_kept_the_best_ones() -> None:
    book, sampler = OrderBook(25, 1, 2), BookSampler("fake", SECOND)
    bids = tuple((Decimal(90 - step), Decimal(1)) for step in range(25))
    book.apply(BookChange(BTC, True, bids, ((Decimal(91), Decimal(2)),), None, None, None))
    sampler.sample({BTC: book}, at(0.5), at(0.5), at(0.5))
    [sample] = sampler.sample({BTC: book}, at(1), at(1), at(1))
    assert [price for price, _ in sample.bids] == [90.0 - step for step in range(10)]
    assert (sample.asks, sample.changed_at) == ([(91.0, 2.0)], None)


def test_a_book_whose_checksum_is_wrong_is_silent_until_a_snapshot_and_begins_with_the_next_moment() -> None:
    recording = Recording()
    recording.advance(2)
    recording.send(replace(recording.venue.change(bids="99.1 1.00"), checksum=1))
    recording.advance(2.5)
    recording.harness.confirm_all()
    recording.send(recording.venue.snapshot_now())
    assert recording.times == [at(1), at(2)]
    recording.advance(1.5)
    assert recording.times == [at(1), at(2), at(5), at(6)]


def test_nothing_is_sampled_while_the_connection_is_away() -> None:
    recording = Recording()
    recording.advance(2)
    recording.harness.drop()
    recording.look()
    recording.harness.now += 3
    assert recording.look() == []
    recording.harness.connect()
    recording.harness.receive(listing())
    recording.harness.confirm_all()
    recording.look()
    recording.send(recording.venue.snapshot_now())
    assert recording.times == [at(1), at(2)]
    recording.advance(1)
    assert recording.times == [at(1), at(2), at(6)]


def test_an_interruption_counts_even_before_the_session_drops_the_book() -> None:
    recording = Recording()
    recording.advance(1)
    books, sampler = recording.harness.session.books, recording.sampler
    sampler.observe(Interrupted(Channel.BOOK, BTC, at(1), "cut"), at(1.1))
    assert sampler.sample(books, at(2), at(2), at(2)) == []
    sampler.observe(Restored(Channel.BOOK, BTC, at(2.5)), at(2.5))
    assert sampler.sample(books, at(2.6), at(2.6), at(2.6)) == []
    assert [each.at for each in sampler.sample(books, at(3), at(3), at(3))] == [at(3)]


def test_an_interruption_of_another_channel_leaves_the_book_alone() -> None:
    recording = Recording()
    recording.sampler.observe(Interrupted(Channel.TRADE, BTC, at(0), "quiet"), at(0))
    recording.advance(1)
    assert recording.times == [at(1)]


def test_a_quiet_book_of_a_live_connection_is_sampled_and_says_how_old_its_newest_change_is() -> None:
    recording = Recording()
    recording.advance(6)
    assert len(recording.samples) == 6
    assert {each.changed_at for each in recording.samples} == {at(0)}


def test_a_silent_connection_leaves_a_hole_in_the_grid() -> None:
    recording = Recording()
    recording.advance(2)
    recording.advance(3.5, heartbeat=False)
    assert recording.times == [at(1), at(2)]
    recording.harness.receive(Heartbeat())
    recording.look()
    assert recording.times == [at(1), at(2), at(5)]  # 3 and 4 stay unknown; 5 is proven by what came at 5.5
    assert recording.samples[-1].known_at == at(5.5)


def test_a_backlog_is_no_fresh_book_however_quickly_it_is_read() -> None:
    recording = Recording()
    recording.advance(2)
    recording.harness.now = 10.0
    recording.send(recording.venue.change(bids="99.2 1.00"), sent_at=at(3))
    recording.send(recording.venue.change(bids="99.3 1.00"), sent_at=at(8.5))
    assert recording.times == [at(1), at(2)]
    recording.send(recording.venue.change(bids="99.4 1.00"), sent_at=at(9.9))
    assert recording.times == [at(1), at(2), at(10)]


def test_a_trade_in_time_shows_that_a_backlog_is_over_and_a_late_one_does_not_begin_one() -> None:
    recording = Recording()
    recording.advance(1)
    recording.sampler.observe(trade(1, -5.0), at(1.1))
    recording.advance(1)
    recording.harness.now = 4.0
    recording.send(recording.venue.change(bids="99.2 1.00"), sent_at=at(2.2))
    assert recording.times == [at(1), at(2)]
    recording.sampler.observe(trade(2, 3.9), at(4.0))
    recording.look()
    assert recording.times == [at(1), at(2), at(4)]


def test_a_crossed_book_waits_until_the_venue_has_said_the_rest() -> None:
    recording = Recording()
    recording.advance(0.75)
    recording.send(recording.venue.change(bids="101.5 1.00"))
    recording.advance(0.5)
    assert recording.samples == []
    recording.send(recording.venue.change(asks="101.0 0, 102.0 1.00"))
    assert recording.times == [at(1)]
    assert recording.samples[0].bids[0] < recording.samples[0].asks[0]


def test_a_book_with_an_empty_side_is_sampled_as_it_is() -> None:
    recording = Recording()
    recording.send(recording.venue.change(asks="101.0 0"))
    recording.advance(1)
    assert (recording.samples[0].asks, recording.samples[0].bids) == ([], [(99.0, 1.0)])


def test_a_clock_that_goes_back_never_gives_a_moment_twice() -> None:
    recording = Recording()
    recording.advance(3)
    recording.harness.now = 1.0
    recording.advance(4)
    assert recording.times == [at(1), at(2), at(3), at(4), at(5)]


@given(st.lists(st.floats(0.01, 3), max_size=40), st.sampled_from([0.5, 1.0, 2.5]))
def test_however_the_recorder_looks_each_moment_is_sampled_at_most_once_and_never_late(
    pauses: list[float], interval: float
) -> None:
    recording = Recording(timedelta(seconds=interval))
    for pause in pauses:
        recording.harness.now += pause
        recording.harness.receive(Heartbeat())
        recording.look()
    assert recording.times == sorted(set(recording.times))
    assert all(timedelta() <= each.known_at - each.at < recording.interval for each in recording.samples)
    assert all((each.at - at(0)) % recording.interval == timedelta() for each in recording.samples)


@pytest.mark.parametrize("seconds", [0, -1])
def test_an_interval_that_is_none_is_refused(seconds: int) -> None:
    with pytest.raises(InvalidValue, match="book_interval"):
        BookSampler("fake", timedelta(seconds=seconds))
