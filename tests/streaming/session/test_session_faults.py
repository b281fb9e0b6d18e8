"""Whatever a connection loses, repeats, delays or cuts: nothing wrong is told, and nothing is missing in silence."""

from collections import defaultdict
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.events import BookChange, Channel, Subscription, Trade, UnknownInterval
from streaming.session.output import Interrupted, Restored
from tests.streaming.session.session_fakes import BTC, SessionHarness, VenueBook, at, listing, ticker, trade

SUBSCRIPTIONS = [Subscription(channel, (BTC,)) for channel in (Channel.TICKER, Channel.TRADE, Channel.BOOK)]


class Happening(Enum):
    TICKER = "ticker"
    BOOK = "book"
    BOOK_LOST = "book lost"
    BOOK_TWICE = "book twice"
    TRADE = "trade"
    TRADE_LOST = "trade lost"
    TRADE_TWICE = "trade twice"
    TRADE_LATE = "trade late"
    ANSWERS = "answers"
    WAIT = "wait"
    LONG_WAIT = "long wait"
    DROP = "drop"
    GARBAGE = "garbage"


class Rehearsal:
    """A venue that keeps its book and its trades, whatever the connection does to its messages."""

    def __init__(self) -> None:
        self.harness = SessionHarness(*SUBSCRIPTIONS)
        self.venue = VenueBook()
        self.venue.snapshot("99.0 1.00", "101.0 1.00")
        self.newest = 0
        self.late: list[Trade] = []
        self.played = 0
        self.connect()

    def connect(self) -> None:
        self.harness.connect(confirm=False)
        self.harness.receive(listing())
        self.answers()

    def answers(self) -> None:
        """Answer everything, with the snapshots that a venue sends."""
        for request in self.harness.confirm_each():
            if request.startswith("subscribe book"):
                self.say(self.venue.snapshot_now())
            if request.startswith("subscribe trade"):
                self.harness.receive(
                    *(trade(number) for number in range(max(1, self.newest - 5), self.newest + 1))
                )

    def happen(self, happening: Happening) -> None:
        match happening:
            case Happening.TICKER:
                self.harness.receive(ticker())
            case Happening.BOOK | Happening.BOOK_LOST | Happening.BOOK_TWICE:
                self.book_change(happening)
            case Happening.ANSWERS:
                self.answers()
            case Happening.WAIT | Happening.LONG_WAIT:
                self.harness.advance(1 if happening is Happening.WAIT else 35)
            case Happening.GARBAGE:
                self.harness.receive_frame("garbage")
            case Happening.DROP:
                self.again()
            case _:
                self.trade(happening)
        if self.harness.close is not None:
            self.again()

    def again(self) -> None:
        self.harness.drop()
        self.late.clear()
        self.harness.now += 5
        self.connect()

    def book_change(self, happening: Happening) -> None:
        self.played += 1
        change = self.venue.change(bids=f"9{self.played % 9}.0 {1 + self.played % 7}.00")
        if happening is not Happening.BOOK_LOST:
            self.say(change)
        if happening is Happening.BOOK_TWICE:
            self.say(change)

    def say(self, change: BookChange) -> None:
        told = len(self.harness.events_of(BookChange))
        self.harness.receive(change)
        if len(self.harness.events_of(BookChange)) > told:
            kept = self.harness.session.books[BTC]
            assert kept.bids() == self.venue.snapshot_now().bids, "a book that is told is the venue's"

    def trade(self, happening: Happening) -> None:
        self.newest += 1
        if happening is Happening.TRADE_LATE:
            self.late.append(trade(self.newest))
        elif happening is not Happening.TRADE_LOST:
            self.harness.receive(trade(self.newest), *self.late)
            self.late.clear()
        if happening is Happening.TRADE_TWICE:
            self.harness.receive(trade(self.newest))


@settings(deadline=None)
@given(st.lists(st.sampled_from(Happening), max_size=60))
def test_no_happenings_make_a_session_tell_what_is_wrong_or_hide_what_is_missing(
    happenings: list[Happening],
) -> None:
    rehearsal = Rehearsal()
    for happening in happenings:
        rehearsal.happen(happening)
    rehearsal.harness.stop()
    trades = [each.trade_id for each in rehearsal.harness.events_of(Trade)]
    assert trades == sorted(set(trades))
    unknown = rehearsal.harness.events_of(UnknownInterval)
    assert all(each.since <= each.until for each in unknown)
    missing = set(range(trades[0], trades[-1])) - set(trades) if trades else set()
    for number in missing:
        assert any(
            each.channel is Channel.TRADE and each.since <= at(number) <= each.until for each in unknown
        )
    interrupted: defaultdict[Channel, bool] = defaultdict(bool)
    for each in rehearsal.harness.events:
        if isinstance(each, Interrupted | Restored):
            assert interrupted[each.channel] is isinstance(each, Restored), "they take turns"
            interrupted[each.channel] = isinstance(each, Interrupted)


def test_after_a_break_the_venues_answers_make_the_session_whole() -> None:
    rehearsal = Rehearsal()
    for happening in (Happening.TRADE, Happening.BOOK_LOST, Happening.BOOK, Happening.DROP, Happening.TRADE):
        rehearsal.happen(happening)
    assert rehearsal.harness.session.books[BTC].is_valid
    rehearsal.harness.advance(3)
    assert [each.channel for each in rehearsal.harness.events_of(UnknownInterval)] == [Channel.BOOK]
    assert [each.trade_id for each in rehearsal.harness.events_of(Trade)] == [1, 2]
