"""Samples of verified order books on a grid of the venue's time; pure.

A sample exists only where the book is proven to be the venue's at that moment. Whatever is in doubt is left out, so
silence shows as a hole in the grid, never as a repeated old book:

* the book is in `Session.books`, so its checksum was right, and no interruption of its channel is open;
* it was so before the moment of the sample: a book that came back begins with the next moment;
* a frame of the connection came since that moment. A venue sends in order, so what it said before has been seen; a
  quiet book of a live connection is therefore sampled, that of a silent connection is not;
* what comes in is not late by more than `max_lag`: while a backlog is read, the book is an old one;
* it is not crossed, which it may be for a moment between two messages of one match.

Where moments passed without such a proof, only the newest one can still be sampled, at most one interval old.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from streaming.events import BookChange, Channel, Level, Trade
from streaming.messages import BookMessage
from streaming.order_book import OrderBook
from streaming.session.output import Interrupted, Restored, SessionEvent
from trading.errors import InvalidValue
from trading.market import EPOCH, Pair
from trading.ports.market_data import LEVELS

MAX_LAG = timedelta(seconds=1)  # Kraken's changes take some 50 ms to a machine on the same continent


class BookSampler:
    """Takes at most one sample per pair and moment of the grid; the caller has the clocks and the books."""

    def __init__(self, origin: str, interval: timedelta, max_lag: timedelta = MAX_LAG) -> None:
        if interval <= timedelta():
            raise InvalidValue(f"[stream] book_interval is {interval}: it must be above zero")
        self._origin = origin
        self._interval = interval
        self._max_lag = max_lag
        self._lag = timedelta()  # of the newest message that says when it was sent
        self._changed_at: dict[Pair, datetime | None] = {}
        self._interrupted: set[Pair] = set()
        self._next: dict[Pair, datetime] = {}  # moment of the next sample of each book that is verified

    def observe(self, event: SessionEvent, venue_now: datetime) -> None:
        """Take note of an event of the session, each one in order, with the venue's time when it came."""
        match event:
            case BookChange():
                self._changed_at[event.pair] = event.at
                if event.at is not None and not event.snapshot:
                    self._lag = venue_now - event.at
            case Trade():  # one that waited in the sequencer only looks late, so it can only show that nothing is
                self._lag = min(self._lag, max(venue_now - event.at, timedelta()))
            case Interrupted(channel=Channel.BOOK, pair=pair) if pair is not None:
                self._interrupted.add(pair)
                self._forget(pair)
            case Restored(channel=Channel.BOOK, pair=pair) if pair is not None:
                self._interrupted.discard(pair)
                self._forget(pair)
                self._lag = timedelta()

    def sample(
        self, books: Mapping[Pair, OrderBook], venue_now: datetime, heard_at: datetime, known_at: datetime
    ) -> list[BookMessage]:
        """Return the samples that are due: call it several times per interval, after the events that came before.

        `books` are `Session.books`. `heard_at`: when the newest frame of the connection came, by the venue's clock
        as `venue_now` is. `known_at`: by this machine's clock, as everywhere. Where the venue's clock goes back
        nothing is sampled until it has passed the newest sample.
        """
        for pair in self._next.keys() - books.keys():
            self._forget(pair)
        moment = venue_now - (venue_now - EPOCH) % self._interval
        samples = []
        for pair, book in books.items():
            due = self._next.setdefault(pair, moment + self._interval)
            fresh = heard_at >= moment and self._lag <= self._max_lag and pair not in self._interrupted
            if moment >= due and fresh and not book.is_crossed:
                samples.append(self._message(pair, book, moment, known_at))
                self._next[pair] = moment + self._interval
        return samples

    def _forget(self, pair: Pair) -> None:
        self._next.pop(pair, None)

    def _message(self, pair: Pair, book: OrderBook, moment: datetime, known_at: datetime) -> BookMessage:
        return BookMessage(
            origin=self._origin,
            pair=str(pair),
            bids=_numbers(book.bids(LEVELS)),
            asks=_numbers(book.asks(LEVELS)),
            at=moment,
            changed_at=self._changed_at.get(pair),
            known_at=max(known_at, moment),
        )


def _numbers(levels: tuple[Level, ...]) -> list[tuple[float, float]]:
    return [(float(price), float(quantity)) for price, quantity in levels]
