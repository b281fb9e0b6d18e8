"""Candles as they were published last, so that only what changed is published again."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from trading.closed_candles import ClosedCandle, Restatement
from trading.market import Timeframe

MICROSECOND = timedelta(microseconds=1)
CandleKey = tuple[Timeframe, datetime]


class Published:
    """The newest revision of each recent candle."""

    def __init__(self, candles: Iterable[ClosedCandle] = ()) -> None:
        self.candles: dict[CandleKey, ClosedCandle] = {
            (each.timeframe, each.open_time): each for each in candles
        }
        self.version = 0  # another one after every change

    def get(self, timeframe: Timeframe, open_time: datetime) -> ClosedCandle | None:
        return self.candles.get((timeframe, open_time))

    def __contains__(self, key: CandleKey) -> bool:
        return key in self.candles

    def publish(self, candle: ClosedCandle) -> ClosedCandle | Restatement | None:
        """Return the candle if it is new, both revisions if its numbers changed, None if they are the same.

        A revision is never known before an older one, nor before the candle closed, whatever our clock did.
        """
        key = candle.timeframe, candle.open_time
        before = self.candles.get(key)
        known_at = max(candle.known_at, candle.close_time)
        if before is None:
            after = candle if candle.known_at == known_at else replace(candle, known_at=known_at)
            self.candles[key] = after
            self.version += 1
            return after
        if _numbers(before) == _numbers(candle):
            return None
        after = replace(candle, known_at=max(known_at, before.known_at + MICROSECOND))
        self.candles[key] = after
        self.version += 1
        return Restatement(before, after)

    def forget(self, settled: Callable[[datetime, datetime], bool]) -> None:
        """Forget the candles of stretches that are settled."""
        self.version += 1
        self.candles = {
            key: each for key, each in self.candles.items() if not settled(each.open_time, each.close_time)
        }


def _numbers(candle: ClosedCandle) -> tuple[float | int | None, ...]:
    return candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades
