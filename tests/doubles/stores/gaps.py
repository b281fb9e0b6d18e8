"""The ledger of feed gaps in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trading.feed_gaps import FeedGap, GapState, MissingInterval
from trading.market import Pair, Timeframe
from trading.missing_candles import missing_candles
from trading.ports import MarketData

Key = tuple[str, Pair, datetime, int | None]


class MemoryGaps:
    def __init__(self, market_data: MarketData) -> None:
        self._market_data = market_data
        self._gaps: dict[Key, FeedGap] = {}

    def open(self, gaps: Sequence[FeedGap]) -> None:
        for gap in gaps:
            known = self._gaps.get(_key(gap))
            if known is None:
                self._gaps[_key(gap)] = replace(gap, gap_id=len(self._gaps) + 1)
            else:
                due = known.next_attempt_at if known.state is GapState.OPEN else None
                self._gaps[_key(gap)] = replace(
                    known,
                    until=gap.until,
                    before_id=gap.before_id,
                    kind=gap.kind,
                    reason=gap.reason,
                    state=GapState.OPEN,
                    next_attempt_at=due,
                    repaired_at=None,
                )

    def wanting_repair(self, origin: str, at: datetime, limit: int = 10) -> list[FeedGap]:
        due = [
            gap
            for gap in self._sorted()
            if gap.origin == origin
            and gap.state is GapState.OPEN
            and (gap.next_attempt_at is None or gap.next_attempt_at <= at)
        ]
        return due[:limit]

    def failed(self, gap: FeedGap, error: str, next_attempt_at: datetime) -> None:
        for key, each in self._gaps.items():
            if each.gap_id == gap.gap_id and each.state is GapState.OPEN:
                self._gaps[key] = replace(
                    each, attempts=each.attempts + 1, last_error=error, next_attempt_at=next_attempt_at
                )

    def repaired(self, gap: FeedGap, at: datetime) -> None:
        known = self._gaps.get(_key(gap))
        if known is not None and known.state is GapState.OPEN:
            self._gaps[_key(gap)] = replace(
                known,
                state=GapState.REPAIRED,
                repaired_at=at,
                until=gap.until or known.until,
                before_id=known.before_id if gap.before_id is None else gap.before_id,
            )

    def gaps(self, origin: str, pair: Pair, start: datetime, end: datetime) -> list[FeedGap]:
        return [
            gap
            for gap in self._sorted()
            if (gap.origin, gap.pair) == (origin, pair)
            and gap.since < end
            and (gap.until is None or gap.until >= start)
        ]

    def missing(
        self, origin: str, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[MissingInterval]:
        rows = self._market_data.between(pair, timeframe, start, end)
        candles = list(zip(rows["open_time"], rows["trades"], strict=True))
        touching = self.gaps(origin, pair, start, end + timeframe.duration)
        return missing_candles(pair, timeframe, start, end, candles, touching)

    def _sorted(self) -> list[FeedGap]:
        return sorted(self._gaps.values(), key=lambda gap: (gap.since, gap.gap_id))


def _key(gap: FeedGap) -> Key:
    return gap.origin, gap.pair, gap.since, gap.after_id
