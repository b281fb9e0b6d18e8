"""The hot tier within one process: gone with it, and nobody else sees it."""

import threading
from bisect import insort
from collections.abc import Sequence
from datetime import datetime

from trading.feature_rows import FeatureRow
from trading.market import Pair, Timeframe
from trading.ports.hot import Aged, BookTop, HotValue, LastPrice, rank

WINDOW = 300  # candles of each pair and timeframe


class HotMemory:
    """Threads may share it."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._prices: dict[Pair, LastPrice] = {}
        self._books: dict[Pair, BookTop] = {}
        self._rows: dict[tuple[Pair, Timeframe], list[FeatureRow]] = {}
        self._filled = False

    def put(self, values: Sequence[HotValue]) -> None:
        with self._lock:
            for value in values:
                match value:
                    case LastPrice():
                        self._prices[value.pair] = max(self._prices.get(value.pair, value), value, key=rank)
                    case BookTop():
                        self._books[value.pair] = max(self._books.get(value.pair, value), value, key=rank)
                    case FeatureRow():
                        self._put_row(value)

    def _put_row(self, row: FeatureRow) -> None:
        rows = self._rows.setdefault((row.pair, row.timeframe), [])
        stored = next((each for each in reversed(rows) if each.close_time == row.close_time), None)
        if stored is not None:
            if rank(stored) >= rank(row):
                return
            rows.remove(stored)
        insort(rows, row, key=rank)
        del rows[: -self._window]

    def price(self, pair: Pair, now: datetime) -> Aged[LastPrice] | None:
        value = self._prices.get(pair)
        return None if value is None else Aged(value, now - value.at)

    def book_top(self, pair: Pair, now: datetime) -> Aged[BookTop] | None:
        value = self._books.get(pair)
        return None if value is None else Aged(value, now - value.at)

    def features(self, pair: Pair, timeframe: Timeframe, now: datetime) -> list[Aged[FeatureRow]]:
        with self._lock:
            rows = list(self._rows.get((pair, timeframe), ()))
        return [Aged(row, now - row.close_time) for row in rows]

    def is_filled(self) -> bool:
        return self._filled

    def mark_filled(self) -> None:
        self._filled = True

    def close(self) -> None: ...
