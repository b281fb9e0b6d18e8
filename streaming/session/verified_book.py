"""The order book of one pair in a session: built with the listed decimals, every change verified."""

from streaming.events import BookChange, Level, Subscription
from streaming.order_book import OrderBook
from streaming.session.gaps import SequenceStep, SequenceTracker
from streaming.session.output import TopOfBook
from streaming.session.settings import BookMode
from trading.errors import InvalidMessage

ANY_DECIMALS = (18, 18)
FULL_DEPTH = 1_000_000


class VerifiedBook:
    """An order book that exists once its decimals are known and is verified after every change."""

    def __init__(self, subscription: Subscription, mode: BookMode) -> None:
        self._depth = subscription.depth if mode is BookMode.LIMITED_DEPTH else FULL_DEPTH
        self._decimals: tuple[int, int] | None = None
        self._book: OrderBook | None = None
        self._sequence = SequenceTracker()
        self._top: tuple[Level | None, Level | None] | None = None
        if mode is BookMode.FULL_DEPTH:
            self.set_decimals(*ANY_DECIMALS)

    @property
    def book(self) -> OrderBook | None:
        """None before its decimals are known; its levels are the venue's only while it `is_valid`."""
        return self._book

    @property
    def has_decimals(self) -> bool:
        return self._book is not None

    @property
    def is_valid(self) -> bool:
        return self._book is not None and self._book.is_valid

    def set_decimals(self, price_decimals: int, quantity_decimals: int) -> bool:
        """Return whether the decimals are new; the book is then empty."""
        if (price_decimals, quantity_decimals) == self._decimals:
            return False
        self._decimals = price_decimals, quantity_decimals
        self._book = OrderBook(self._depth, price_decimals, quantity_decimals)
        return True

    def apply(self, change: BookChange, frame: int) -> bool:
        """Return whether it was applied: changes before the snapshot, repeated and older ones are not.

        InvalidMessage when one is missing, the checksum differs or, without one, the sides cross; the book is then
        invalid.
        """
        if self._book is None or not (change.snapshot or self._book.is_valid):
            return False
        if self._sequence_step(change, frame) is not SequenceStep.NEXT:
            return False
        self._book.apply(change)
        if (
            change.checksum is None and self._book.is_crossed
        ):  # nothing else would show that a change was wrong
            bid, ask = self._book.best_bid, self._book.best_ask
            self.clear()
            raise InvalidMessage("book", f"{change.pair}: bid {bid} is not below ask {ask}")
        return True

    def new_top(self, change: BookChange) -> TopOfBook | None:
        """Return the best bid and ask after `change`, None when they are what they were."""
        book = self._book
        if book is None or self._top == (top := (book.best_bid, book.best_ask)):
            return None
        self._top = top
        return TopOfBook(change.pair, *top, change.at)

    def clear(self) -> None:
        """Drop all levels; the book is invalid until the next snapshot."""
        if self._book is not None:
            self._book.clear()
        self._top = None

    def _sequence_step(self, change: BookChange, frame: int) -> SequenceStep:
        if change.sequence is None:
            return SequenceStep.NEXT
        last = self._sequence.last
        step = self._sequence.advance(change.sequence, change.snapshot, frame)
        if step is SequenceStep.GAP:
            self.clear()
            raise InvalidMessage("book", f"{change.pair}: message {change.sequence} came after {last}")
        return step
