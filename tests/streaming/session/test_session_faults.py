"""A connection that loses, repeats, delays and drops messages: no wrong data, and nothing missing without a report."""

from collections import defaultdict
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.events import BookChange, Channel, Subscription, Trade, UnknownInterval
from streaming.session.output import Interrupted, Restored
from tests.streaming.session.session_fakes import BTC, SessionHarness, VenueBook, at, listing, ticker, trade

SUBSCRIPTIONS = [Subscription(channel, (BTC,)) for channel in (Channel.TICKER, Channel.TRADE, Channel.BOOK)]


class Incident(Enum):
    TICKER = "ticker"
    BOOK = "book"
    BOOK_LOST = "book lost"
    BOOK_TWICE = "book twice"
    TRADE = "trade"
    TRADE_LOST = "trade lost"
    TRADE_TWICE = "trade twice"
    TRADE_LATE = "trade late"
    RESPONSES = "responses"
    WAIT = "wait"
    LONG_WAIT = "long wait"
    DROP = "drop"
    GARBAGE = "garbage"


class SimulatedVenue:
    """A venue with a book and trades, and a connection that damages its messages."""

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
        self.confirm_requests()

    def confirm_requests(self) -> None:
        """Confirm every request, with the snapshots that a venue sends."""
        for request in self.harness.confirm_each():
            if request.startswith("subscribe book"):
                self.say(self.venue.snapshot_now())
            if request.startswith("subscribe trade"):
                self.harness.receive(
                    *(trade(number) for number in range(max(1, self.newest - 5), self.newest + 1))
                )

    def play(self, incident: Incident) -> None:
        match incident:
            case Incident.TICKER:
                self.harness.receive(ticker())
            case Incident.BOOK | Incident.BOOK_LOST | Incident.BOOK_TWICE:
                self.book_change(incident)
            case Incident.RESPONSES:
                self.confirm_requests()
            case Incident.WAIT | Incident.LONG_WAIT:
                self.harness.advance(1 if incident is Incident.WAIT else 35)
            case Incident.GARBAGE:
                self.harness.receive_frame("garbage")
            case Incident.DROP:
                self.reconnect()
            case _:
                self.trade(incident)
        if self.harness.close is not None:
            self.reconnect()

    def reconnect(self) -> None:
        self.harness.drop()
        self.late.clear()
        self.harness.now += 5
        self.connect()

    def book_change(self, incident: Incident) -> None:
        self.played += 1
        change = self.venue.change(bids=f"9{self.played % 9}.0 {1 + self.played % 7}.00")
        if incident is not Incident.BOOK_LOST:
            self.say(change)
        if incident is Incident.BOOK_TWICE:
            self.say(change)

    def say(self, change: BookChange) -> None:
        count = len(self.harness.events_of(BookChange))
        self.harness.receive(change)
        if len(self.harness.events_of(BookChange)) > count:
            book = self.harness.session.books[BTC]
            assert book.bids() == self.venue.snapshot_now().bids, "a book that is passed on is the venue's"

    def trade(self, incident: Incident) -> None:
        self.newest += 1
        if incident is Incident.TRADE_LATE:
            self.late.append(trade(self.newest))
        elif incident is not Incident.TRADE_LOST:
            self.harness.receive(trade(self.newest), *self.late)
            self.late.clear()
        if incident is Incident.TRADE_TWICE:
            self.harness.receive(trade(self.newest))


@settings(deadline=None)
@given(st.lists(st.sampled_from(Incident), max_size=60))
def test_no_incidents_make_a_session_report_wrong_data_or_hide_missing_data(
    incidents: list[Incident],
) -> None:
    simulation = SimulatedVenue()
    for incident in incidents:
        simulation.play(incident)
    simulation.harness.stop()
    trades = [each.trade_id for each in simulation.harness.events_of(Trade)]
    assert trades == sorted(set(trades))
    unknown = simulation.harness.events_of(UnknownInterval)
    assert all(each.since <= each.until for each in unknown)
    missing = set(range(trades[0], trades[-1])) - set(trades) if trades else set()
    for number in missing:
        assert any(
            each.channel is Channel.TRADE and each.since <= at(number) <= each.until for each in unknown
        )
    interrupted: defaultdict[Channel, bool] = defaultdict(bool)
    for each in simulation.harness.events:
        if isinstance(each, Interrupted | Restored):
            assert interrupted[each.channel] is isinstance(each, Restored), (
                "interruptions and restorations alternate"
            )
            interrupted[each.channel] = isinstance(each, Interrupted)


def test_after_a_break_the_venues_responses_restore_the_session() -> None:
    simulation = SimulatedVenue()
    for incident in (Incident.TRADE, Incident.BOOK_LOST, Incident.BOOK, Incident.DROP, Incident.TRADE):
        simulation.play(incident)
    assert simulation.harness.session.books[BTC].is_valid
    simulation.harness.advance(3)
    assert [each.channel for each in simulation.harness.events_of(UnknownInterval)] == [Channel.BOOK]
    assert [each.trade_id for each in simulation.harness.events_of(Trade)] == [1, 2]
