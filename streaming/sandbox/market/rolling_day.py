"""The last 24 hours of a tape, kept up to date print by print: each print enters once and leaves once."""

from collections import deque

from streaming.sandbox.market.prints import Prints

DAY = 86_400 * 10**9  # nanoseconds


class RollingDay:
    """Sums and extremes of the prints of the last 24 hours, in increments.

    A print that the tape drops earlier than that leaves with it: then the day is as long as the tape.
    """

    def __init__(self, prints: Prints) -> None:
        self._prints = prints
        self._first = 0  # number of the oldest print inside
        self._highs: deque[int] = deque()  # numbers of prints that no later one exceeds, falling prices
        self._lows: deque[int] = deque()
        self.volume = 0
        self.cost = 0

    def make_room(self) -> None:
        """Drop the oldest print before the tape overwrites it."""
        if self._prints.full and self._first == self._prints.oldest:
            self._drop()

    def begin(self) -> None:
        """Start with the first prints of all at once: those of the last 24 hours enter."""
        total = self._prints.total
        self._first = self._prints.after(self._prints.time(total - 1) - DAY) if total else 0
        for number in range(self._first, total):
            self.add(number)

    def add(self, number: int) -> None:
        """Add the newest print of the tape."""
        price, quantity = self._prints.price(number), self._prints.quantity(number)
        self.volume += quantity
        self.cost += price * quantity
        while self._highs and self._prints.price(self._highs[-1]) <= price:
            self._highs.pop()
        while self._lows and self._prints.price(self._lows[-1]) >= price:
            self._lows.pop()
        self._highs.append(number)
        self._lows.append(number)
        self.expire(self._prints.time(number))

    def expire(self, now: int) -> None:
        """Drop what happened 24 hours before `now` (nanoseconds since 1970) or earlier."""
        while self._first < self._prints.total and self._prints.time(self._first) <= now - DAY:
            self._drop()

    @property
    def trades(self) -> int:
        return self._prints.total - self._first

    @property
    def high(self) -> int:
        """The price that stood at the beginning counts only when nothing traded since."""
        return self._prints.price(self._highs[0]) if self._highs else self.open

    @property
    def low(self) -> int:
        return self._prints.price(self._lows[0]) if self._lows else self.open

    @property
    def open(self) -> int:
        """The price that stood 24 hours ago; the first that is known where the tape is younger. 0 without any."""
        if not self._prints.total:
            return 0
        return self._prints.price(max(self._first - 1, self._prints.oldest))

    def _drop(self) -> None:
        number = self._first
        price, quantity = self._prints.price(number), self._prints.quantity(number)
        self.volume -= quantity
        self.cost -= price * quantity
        for extremes in (self._highs, self._lows):
            if extremes[0] == number:
                extremes.popleft()
        self._first += 1
