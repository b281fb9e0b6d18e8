"""Candles of the tape, one series per interval, kept up to date print by print in whole increments."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KEPT = 721  # per series: Kraken's REST tells the newest 720 and the one that is not committed yet


@dataclass(slots=True)
class IncrementBar:
    """One bar in increments; `cost` is the sum of price times quantity."""

    opened: int  # microseconds since 1970
    open: int
    high: int
    low: int
    close: int
    cost: int
    volume: int
    trades: int


class BarSeries:
    """Bars of one interval, on the grid that starts at 1970, a Thursday, as Kraken's weeks do."""

    def __init__(self, minutes: int) -> None:
        self.length = minutes * 60_000_000  # microseconds
        self._kept: deque[IncrementBar] = deque(maxlen=KEPT)
        self._ends = 0  # of the newest bar

    def add(self, time: int, price: int, quantity: int) -> None:
        """`time` in microseconds since 1970, never below that of the print before."""
        if time >= self._ends:
            opened = time - time % self.length
            self._ends = opened + self.length
            self._kept.append(IncrementBar(opened, price, price, price, price, price * quantity, quantity, 1))
            return
        bar = self._kept[-1]
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        bar.close = price
        bar.cost += price * quantity
        bar.volume += quantity
        bar.trades += 1

    def begin(
        self, times: Sequence[int], prices: Sequence[int], quantities: Sequence[int], costs: Sequence[int]
    ) -> None:
        """With the first prints of all at once: what `add` would have kept of them, from the newest backwards."""
        end = len(times)
        self._ends = times[-1] - times[-1] % self.length + self.length if times else 0
        while end and len(self._kept) < KEPT:
            opened = times[end - 1] - times[end - 1] % self.length
            first = bisect_left(times, opened, 0, end)
            inside = slice(first, end)
            high, low = max(prices[inside]), min(prices[inside])
            cost, volume = sum(costs[inside]), sum(quantities[inside])
            bar = IncrementBar(opened, prices[first], high, low, prices[end - 1], cost, volume, end - first)
            self._kept.appendleft(bar)
            end = first

    def newest(self) -> IncrementBar | None:
        return self._kept[-1] if self._kept else None

    def traded(self) -> Iterator[IncrementBar]:
        """Bars in which something traded, oldest first."""
        return iter(self._kept)

    def filled(self, now: int) -> Iterator[IncrementBar]:
        """The last 721 intervals up to that of `now`; where nothing traded the last close stands, volume 0.

        Begins with the first trade that is known when that is later.
        """
        if not self._kept:
            return
        current = max(now - now % self.length, self._kept[-1].opened)
        begin = current - (KEPT - 1) * self.length
        before: IncrementBar | None = None
        for bar in self._kept:
            if before is not None:
                yield from self._still(before, begin, bar.opened)
            if bar.opened >= begin:
                yield bar
            before = bar
        yield from self._still(self._kept[-1], begin, current + self.length)

    def _still(self, bar: IncrementBar, begin: int, end: int) -> Iterator[IncrementBar]:
        """Intervals without a trade that follow `bar`, from `begin` on and before `end`."""
        price = bar.close
        for opened in range(max(bar.opened + self.length, begin), end, self.length):
            yield IncrementBar(opened, price, price, price, price, 0, 0, 0)
