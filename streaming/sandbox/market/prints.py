"""The prints of one pair in columns of fixed size: the oldest make room for the newest."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from trading.errors import InvalidValue


class Prints:
    """A ring. Prints are numbered from 0 in the order they came, also after the oldest are gone.

    Times are nanoseconds since 1970 and strictly rising: the second print of an instant is one nanosecond later,
    so that a time names one print and a page never ends in the middle of an instant. Prices and quantities are
    counts of increments; `kind` is whatever the caller wants to remember of a print, from 0 to 127.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InvalidValue(f"capacity is {capacity}: a tape keeps at least one print")
        self.capacity = capacity
        self.total = 0
        self._times = array("q")
        self._prices = array("q")
        self._quantities = array("q")
        self._kinds = array("b")

    @property
    def oldest(self) -> int:
        """Return the number of the oldest print that is stored."""
        return max(self.total - self.capacity, 0)

    @property
    def full(self) -> bool:
        return self.total >= self.capacity

    def append(self, time: int, price: int, quantity: int, kind: int) -> int:
        """Add a print and return its number. A time that is not above the last one becomes the instant after it."""
        if self.total:
            time = max(time, self.time(self.total - 1) + 1)
        if self.full:
            place = self.total % self.capacity
            self._times[place], self._prices[place] = time, price
            self._quantities[place], self._kinds[place] = quantity, kind
        else:
            self._times.append(time)
            self._prices.append(price)
            self._quantities.append(quantity)
            self._kinds.append(kind)
        self.total += 1
        return self.total - 1

    def begin(
        self, times: Iterable[int], prices: Sequence[int], quantities: Sequence[int], kinds: Sequence[int]
    ) -> None:
        """Start with the first prints of all at once, at most `capacity`: as `append` would, one after the other."""
        self._times.extend(accumulate(times, lambda before, time: max(before + 1, time)))
        self._prices.extend(prices)
        self._quantities.extend(quantities)
        self._kinds.extend(kinds)
        self.total = len(self._times)

    def time(self, number: int) -> int:
        return self._times[number % self.capacity]

    def price(self, number: int) -> int:
        return self._prices[number % self.capacity]

    def quantity(self, number: int) -> int:
        return self._quantities[number % self.capacity]

    def kind(self, number: int) -> int:
        return self._kinds[number % self.capacity]

    def after(self, time: int) -> int:
        """Return the number of the first stored print above `time`; `total` when there is none."""
        return bisect_right(range(self.total), time, lo=self.oldest, key=self.time)
