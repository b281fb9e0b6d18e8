"""Candles of the tape, one series per interval, kept up to date print by print in whole increments."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_BARS = 721  # per series: Kraken's REST tells the newest 720 and the one that is not committed yet


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

    @classmethod
    def without_trades(cls, opened: int, price: int) -> "IncrementBar":
        return cls(opened, open=price, high=price, low=price, close=price, cost=0, volume=0, trades=0)


class BarSeries:
    """Bars of one interval, on the grid that starts at 1970, a Thursday, as Kraken's weeks do."""

    def __init__(self, minutes: int) -> None:
        self.length = minutes * 60_000_000  # microseconds
        self._bars: deque[IncrementBar] = deque(maxlen=MAX_BARS)
        self._ends = 0  # of the newest bar

    def add(self, time: int, price: int, quantity: int) -> None:
        """Add a print; `time` in microseconds since 1970, never below that of the print before."""
        if time >= self._ends:
            opened = time - time % self.length
            self._ends = opened + self.length
            bar = IncrementBar.without_trades(opened, price)
            bar.cost, bar.volume, bar.trades = price * quantity, quantity, 1
            self._bars.append(bar)
            return
        bar = self._bars[-1]
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
        """Start with the first prints of all at once: what `add` would have stored of them, newest first."""
        end = len(times)
        self._ends = times[-1] - times[-1] % self.length + self.length if times else 0
        while end and len(self._bars) < MAX_BARS:
            opened = times[end - 1] - times[end - 1] % self.length
            first = bisect_left(times, opened, 0, end)
            inside = slice(first, end)
            high, low = max(prices[inside]), min(prices[inside])
            cost, volume = sum(costs[inside]), sum(quantities[inside])
            bar = IncrementBar(
                opened=opened,
                open=prices[first],
                high=high,
                low=low,
                close=prices[end - 1],
                cost=cost,
                volume=volume,
                trades=end - first,
            )
            self._bars.appendleft(bar)
            end = first

    def newest(self) -> IncrementBar | None:
        return self._bars[-1] if self._bars else None

    def with_trades(self) -> Iterator[IncrementBar]:
        """Iterate over bars in which something traded, oldest first."""
        return iter(self._bars)

    def without_gaps(self, now: int) -> Iterator[IncrementBar]:
        """Yield the last 721 intervals up to that of `now`; where nothing traded the last close stands, volume 0.

        Begins with the first trade that is known when that is later.
        """
        if not self._bars:
            return
        current = max(now - now % self.length, self._bars[-1].opened)
        begin = current - (MAX_BARS - 1) * self.length
        before: IncrementBar | None = None
        for bar in self._bars:
            if before is not None:
                yield from self._gap_bars(before, begin, bar.opened)
            if bar.opened >= begin:
                yield bar
            before = bar
        yield from self._gap_bars(self._bars[-1], begin, current + self.length)

    def _gap_bars(self, bar: IncrementBar, begin: int, end: int) -> Iterator[IncrementBar]:
        """Yield intervals without a trade that follow `bar`, from `begin` on and before `end`."""
        price = bar.close
        for opened in range(max(bar.opened + self.length, begin), end, self.length):
            yield IncrementBar.without_trades(opened, price)
