"""The order book of one pair as a session keeps it: with the decimals that were listed, and every change verified."""

from streaming.events import BookChange, Level, Subscription
from streaming.order_book import Book
from streaming.session.gaps import MessageNumbers, Step
from streaming.session.output import BestOffers, Books
from trading.errors import InvalidMessage

ANY_DECIMALS = (18, 18)
WHOLE_DEPTH = 1_000_000


class KeptBook:
    def __init__(self, subscription: Subscription, books: Books) -> None:
        self._depth = subscription.depth if books is Books.LISTED else WHOLE_DEPTH
        self._decimals: tuple[int, int] | None = None
        self._book: Book | None = None
        self._numbers = MessageNumbers()
        self._best: tuple[Level | None, Level | None] | None = None
        if books is Books.WHOLE:
            self.list_as(*ANY_DECIMALS)

    @property
    def book(self) -> Book | None:
        """None before its decimals are known; what it holds is the venue's only while it is `known`."""
        return self._book

    @property
    def listed(self) -> bool:
        return self._book is not None

    @property
    def known(self) -> bool:
        return self._book is not None and self._book.known

    def list_as(self, price_decimals: int, quantity_decimals: int) -> bool:
        """Whether that is news; the book is then empty."""
        if (price_decimals, quantity_decimals) == self._decimals:
            return False
        self._decimals = price_decimals, quantity_decimals
        self._book = Book(self._depth, price_decimals, quantity_decimals)
        return True

    def apply(self, change: BookChange, frame: int) -> bool:
        """Whether it was applied: changes before the snapshot, repeated and older ones are not.

        InvalidMessage when one is missing, the checksum differs or, without one, the sides cross; the book is then
        unknown.
        """
        if self._book is None or not (change.snapshot or self._book.known):
            return False
        step = Step.NEXT
        if change.sequence is not None:
            last = self._numbers.last
            step = self._numbers.step(change.sequence, change.snapshot, frame)
            if step is Step.GAP:
                self.forget()
                raise InvalidMessage("book", f"{change.pair}: message {change.sequence} came after {last}")
        if step is Step.NEXT:
            self._book.apply(change)
            if (
                change.checksum is None and self._book.crossed
            ):  # nothing else would show that a change was wrong
                bid, ask = self._book.best_bid, self._book.best_ask
                self.forget()
                raise InvalidMessage("book", f"{change.pair}: bid {bid} is not below ask {ask}")
        return step is Step.NEXT

    def new_best(self, change: BookChange) -> BestOffers | None:
        """The best offers after `change`, None when they are what they were."""
        book = self._book
        if book is None or self._best == (best := (book.best_bid, book.best_ask)):
            return None
        self._best = best
        return BestOffers(change.pair, *best, change.at)

    def forget(self) -> None:
        if self._book is not None:
            self._book.forget()
        self._best = None
