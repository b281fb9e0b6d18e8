"""The candles that could not be published yet, as stretches of the grid: few, however long a gap is."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from datetime import datetime

from trading.market import Timeframe

Span = tuple[datetime, datetime]  # [first open time, close of the last)


class PendingCandles:
    """Per timeframe the candles that have closed and wait for their proof."""

    def __init__(self, spans: Iterable[tuple[Timeframe, datetime, datetime]] = ()) -> None:
        self._spans: dict[Timeframe, list[Span]] = {}
        for timeframe, start, end in spans:
            self._spans.setdefault(timeframe, []).append((start, end))
        self.version = 0  # another one after every change

    def __contains__(self, key: tuple[Timeframe, datetime]) -> bool:
        timeframe, open_time = key
        spans = self._spans.get(timeframe, [])
        index = _index(spans, open_time)
        return index < len(spans) and spans[index][0] <= open_time

    def spans(self) -> list[tuple[Timeframe, datetime, datetime]]:
        return [(timeframe, *span) for timeframe, spans in self._spans.items() for span in spans]

    def add(self, timeframe: Timeframe, start: datetime, end: datetime) -> None:
        """Add every candle of [start, end)."""
        self.version += 1
        spans = self._spans.setdefault(timeframe, [])
        if spans and spans[-1][1] == start:
            spans[-1] = spans[-1][0], end
            return
        apart = [span for span in spans if span[1] < start or span[0] > end]
        joined = [span for span in spans if not (span[1] < start or span[0] > end)]
        start, end = min([start, *(span[0] for span in joined)]), max([end, *(span[1] for span in joined)])
        self._spans[timeframe] = sorted([*apart, (start, end)])

    def discard(self, timeframe: Timeframe, open_time: datetime) -> None:
        spans = self._spans.get(timeframe, [])
        index = _index(spans, open_time)
        if index < len(spans) and spans[index][0] <= open_time:
            start, end = spans[index]
            self.version += 1
            close = open_time + timeframe.duration
            spans[index : index + 1] = [
                span for span in ((start, open_time), (close, end)) if span[0] < span[1]
            ]

    def forget(self, settled: Callable[[datetime], bool]) -> None:
        """Forget the stretches that end in a day which is settled: nothing will prove them any more."""
        self.version += 1
        for timeframe, spans in self._spans.items():
            spans[:] = [(start, end) for start, end in spans if not settled(end - timeframe.duration)]


def _index(spans: list[Span], open_time: datetime) -> int:
    """Return the index of the first span that ends after `open_time`."""
    index = bisect_left(spans, (open_time,))
    return index - 1 if index and spans[index - 1][1] > open_time else index
