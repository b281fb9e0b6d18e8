"""Comparison of our candles with the venue's own. A difference is only suspected until the venue confirms it.

The last message of the venue's candle channel may be older than the candle's last trade: it proves nothing. What
counts is the venue's committed candle, read again at least CONFIRM_AGE later with the same numbers. Pure; one pair.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from streaming.events import Candle
from trading.closed_candles import Basis, ClosedCandle
from trading.market import Timeframe

CONFIRM_AGE = timedelta(seconds=10)  # between two readings of the venue that have to agree
MAX_AGE = timedelta(minutes=55)  # of a closed candle; older ones are settled
MAX_OPEN = 64  # candles that are compared at once

Values = tuple[float, float, float, float, float, int | None]


@dataclass(slots=True)
class _Suspect:
    ours: ClosedCandle
    seen: Values | None = None  # of the venue's committed candle
    seen_at: datetime | None = None


class VenueComparison:
    """1-minute candles of one pair beside the venue's."""

    def __init__(self) -> None:
        self._theirs: dict[datetime, Candle] = {}
        self._ours: dict[datetime, ClosedCandle] = {}
        self._suspects: dict[datetime, _Suspect] = {}

    @property
    def suspects(self) -> list[datetime]:
        """The open times whose committed candle should be read from the venue, oldest first."""
        return sorted(self._suspects)

    def hear(self, candle: Candle) -> None:
        """Note the newest message about a candle of the venue."""
        if candle.timeframe is Timeframe.M1:
            self._theirs[candle.open_time] = candle
            self._compare(candle.open_time)
            _limit(self._theirs)

    def close(self, candle: ClosedCandle) -> None:
        """Note a candle of ours that was published."""
        if candle.timeframe is not Timeframe.M1:
            return
        self._ours[candle.open_time] = candle
        self._compare(candle.open_time)
        _limit(self._ours)
        _limit(self._suspects)

    def confirm(self, committed: Candle, read_at: datetime) -> ClosedCandle | None:
        """Compare with a candle that the venue has committed; returns the restated candle once it is certain."""
        suspect = self._suspects.get(committed.open_time)
        if suspect is None:
            return None
        theirs = _values(committed)
        if _agree(suspect.ours, committed) or read_at > suspect.ours.close_time + MAX_AGE:
            del self._suspects[committed.open_time]
            return None
        if suspect.seen != theirs or suspect.seen_at is None:
            suspect.seen, suspect.seen_at = theirs, read_at
            return None
        if read_at < suspect.seen_at + CONFIRM_AGE:
            return None
        del self._suspects[committed.open_time]
        return replace(
            suspect.ours,
            open=committed.open,
            high=committed.high,
            low=committed.low,
            close=committed.close,
            volume=committed.volume,
            trades=committed.trades,
            basis=Basis.VENUE,
            known_at=read_at,
        )

    def _compare(self, open_time: datetime) -> None:
        ours, theirs = self._ours.get(open_time), self._theirs.get(open_time)
        if ours is None or theirs is None or ours.basis is Basis.VENUE:
            return
        if _agree(ours, theirs):
            self._suspects.pop(open_time, None)
        else:
            self._suspects[open_time] = _Suspect(ours)


def _agree(ours: ClosedCandle, theirs: Candle) -> bool:
    counts = theirs.trades is None or ours.trades is None or ours.trades == theirs.trades
    mine = ours.open, ours.high, ours.low, ours.close, ours.volume
    return counts and mine == _values(theirs)[:5]


def _values(candle: Candle) -> Values:
    return candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades


def _limit(candles: dict[datetime, Candle] | dict[datetime, ClosedCandle] | dict[datetime, _Suspect]) -> None:
    while len(candles) > MAX_OPEN:
        del candles[min(candles)]
