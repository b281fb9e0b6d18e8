"""The bars that are kept: minutes while they may change, longer ones of what is settled, none of settled days."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from streaming.bars.bar import ORDER, Bar, bar_of, join
from streaming.events import Trade
from trading.market import Timeframe

MINUTE = Timeframe.M1.duration
DAY = Timeframe.D1.duration
BLOCKS = (Timeframe.M15, Timeframe.H1)  # each divides the next, and with it every longer timeframe


class BarTable:
    """Bars with a trade, by open time, never overlapping. A stretch without a bar had no trade, as far as is known."""

    def __init__(
        self, bars: Iterable[Bar] = (), confirmed: Iterable[Bar] = (), growing: Bar | None = None
    ) -> None:
        """Begin with these; `confirmed` minutes stand in the place of those built from trades."""
        self.bars: dict[datetime, Bar] = {bar.open_time: bar for bar in bars}
        self.growing = (
            growing  # of the newest trade; it is in `bars`, too, and alone changes from trade to trade
        )
        self.version = 0  # another one means that more than the growing bar has changed
        if growing is not None:
            self.bars[growing.open_time] = growing
        self.confirmed: dict[datetime, Bar] = {bar.open_time: bar for bar in confirmed}
        self._opens: list[datetime] = sorted({*self.bars, *self.confirmed})

    def __len__(self) -> int:
        return len(self._opens)

    def place(self, trade: Trade, order: ORDER) -> bool:
        """Add the trade to its minute, or to the longer bar that its minute is part of by now.

        Returns whether that changed the bar's close.
        """
        growing = self.growing
        if growing is not None and growing.open_time <= trade.at < growing.end:
            growing.add(trade, order)
            return growing.last == order
        minute = Timeframe.M1.floor(trade.at)
        confirmed = self.confirmed.pop(minute, None)
        bar = self.bars.get(minute)
        if bar is None and confirmed is None:
            bar = self._covering(minute)
        if bar is not None:
            bar.add(trade, order)
        else:
            bar = self.bars[minute] = bar_of(trade, order, minute, MINUTE)
            if confirmed is None:
                insort(self._opens, minute)
        self.growing = bar
        self.version += 1
        return bar.last == order or confirmed is not None

    def confirm(self, bar: Bar) -> None:
        """Let the venue's own numbers of a minute stand for it."""
        if bar.open_time not in self.bars and bar.open_time not in self.confirmed:
            insort(self._opens, bar.open_time)
        self.confirmed[bar.open_time] = bar
        self.growing = None
        self.version += 1

    def is_minute(self, open_time: datetime) -> bool:
        """Return whether this minute is kept by itself, with trades or without."""
        covering = self._covering(open_time)
        return covering is None or covering.length == MINUTE

    def composed(self, open_time: datetime, length: timedelta) -> Bar | None:
        """Join the bars of a stretch; None without a trade. LookupError where only longer bars are kept."""
        covering = self._covering(open_time)
        if covering is not None and covering.end > open_time + length:
            raise LookupError(open_time)
        begin = bisect_left(self._opens, open_time)
        end = bisect_left(self._opens, open_time + length, begin)
        bars = [self._bar(each) for each in self._opens[begin:end]]
        return join(bars, open_time, length) if bars else None

    def before(self, time: datetime) -> Bar | None:
        """Return the newest bar that opens before `time`."""
        index = bisect_left(self._opens, time)
        return self._bar(self._opens[index - 1]) if index else None

    def next_trade(self, time: datetime) -> datetime | None:
        """Return the open time of the first bar that ends after `time` with a trade at or after it."""
        for index in range(max(bisect_right(self._opens, time) - 1, 0), len(self._opens)):
            bar = self._bar(self._opens[index])
            if bar.last_at >= time:
                return max(bar.open_time, time)
        return None

    def opens_after(self, time: datetime) -> datetime | None:
        """Return the open time of the first bar that opens after `time`."""
        index = bisect_right(self._opens, time)
        return self._opens[index] if index < len(self._opens) else None

    def forget(self, start: datetime, end: datetime) -> None:
        """Forget the bars that open in [start, end)."""
        self._remove([each for each in self._opens if start <= each < end])

    def fold(self, settled: Callable[[datetime, datetime], bool]) -> None:
        """Join the bars of each block that is settled."""
        for block in BLOCKS:
            groups: dict[datetime, list[datetime]] = {}
            for open_time in self._opens:
                if self._bar(open_time).length < block.duration:
                    groups.setdefault(block.floor(open_time), []).append(open_time)
            for start, opens in groups.items():
                if settled(start, start + block.duration):
                    bar = join([self._bar(each) for each in opens], start, block.duration)
                    self._remove(opens)
                    self.bars[start] = bar
                    insort(self._opens, start)

    def drop(self, dropped: Callable[[datetime], bool]) -> None:
        """Forget the bars of days that are dropped, but the last before a day that is kept: it has the price."""
        self._remove(
            [
                open_time
                for open_time, after in pairwise(self._opens)
                if dropped(open_time)
                and (dropped(after) or Timeframe.D1.floor(after) == Timeframe.D1.floor(open_time))
            ]
        )

    def _bar(self, open_time: datetime) -> Bar:
        return self.confirmed.get(open_time) or self.bars[open_time]

    def _covering(self, open_time: datetime) -> Bar | None:
        """Return the bar that holds this moment."""
        index = bisect_right(self._opens, open_time)
        bar = self._bar(self._opens[index - 1]) if index else None
        return bar if bar is not None and bar.end > open_time else None

    def _remove(self, opens: Sequence[datetime]) -> None:
        if not opens:
            return
        self.growing = None
        self.version += 1
        for each in opens:
            self.bars.pop(each, None)
            self.confirmed.pop(each, None)
        self._opens = sorted({*self.bars, *self.confirmed})
