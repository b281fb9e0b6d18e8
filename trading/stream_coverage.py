"""How complete a streamed dataset is: why candles are missing, which feed gaps are unrepaired. Times are UTC."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from trading.candles import Gap, GapKind
from trading.feed_gaps import FeedGap, GapState, MissingKind
from trading.market import EPOCH, Pair, Timeframe
from trading.ports import GapLedger, MarketData

Interval = tuple[datetime, datetime]  # [since, until)
_FAR = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StreamCoverage:
    """Reads of one dataset what the stream stored of itself; where nothing was streamed, nothing is known of gaps."""

    origin: str
    timeframe: Timeframe
    market_data: MarketData
    ledger: GapLedger
    max_unrepaired: float  # share of a month

    def is_streamed(self, pair: Pair) -> bool:
        """Return whether the stream has ever closed a candle of the pair or noted a gap."""
        if self.market_data.newest(pair, self.timeframe) is not None:
            return True
        return bool(self.ledger.gaps(self.origin, pair, EPOCH, _FAR))

    def newest_close(self, pair: Pair) -> datetime | None:
        """Return when the newest candle that the stream knows closed, one without a trade included."""
        newest = self.market_data.newest(pair, self.timeframe)
        return newest.close_time if newest else None

    def unrepaired(self, pair: Pair, start: datetime, end: datetime) -> list[Interval]:
        """Return the stretches of [start, end) whose trades may be missing; one that still lasts ends at `end`."""
        return open_stretches(self.ledger.gaps(self.origin, pair, start, end), start, end)

    def explained(self, pair: Pair, gaps: Sequence[Gap]) -> list[Gap]:
        """Return the gaps of a table with the reasons that the stream knows; elsewhere they keep what was guessed."""
        if not gaps:
            return []
        start, end = (
            gaps[0].first_missing,
            gaps[-1].first_missing + gaps[-1].candles * self.timeframe.duration,
        )
        rows = self.market_data.between(pair, self.timeframe, start, end)
        quiet = {opened for opened, trades in rows.select("open_time", "trades").iter_rows() if trades == 0}
        noted = self.ledger.gaps(self.origin, pair, start, end)
        return [part for gap in gaps for part in explain_gap(gap, self.timeframe, quiet, noted)]


def open_stretches(gaps: Iterable[FeedGap], start: datetime, end: datetime) -> list[Interval]:
    """Join the open feed gaps within [start, end) where they overlap, oldest first.

    While the venue was not open nothing traded: maintenance is no feed gap.
    """
    inside = sorted(
        (max(gap.since, start), min(gap.until or end, end))
        for gap in gaps
        if gap.state is GapState.OPEN and gap.kind is MissingKind.FEED_GAP
    )
    joined: list[Interval] = []
    for since, until in inside:
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        elif since < until:
            joined.append((since, until))
    return joined


def share(stretches: Iterable[Interval], start: datetime, end: datetime) -> float:
    """Return the part of [start, end) that disjoint stretches within it cover, 0 to 1."""
    return sum((until - since).total_seconds() for since, until in stretches) / (end - start).total_seconds()


def explain_gap(gap: Gap, timeframe: Timeframe, quiet: set[datetime], noted: Sequence[FeedGap]) -> list[Gap]:
    """Cut a run of missing candles into runs of one reason each."""
    opens = [gap.first_missing + number * timeframe.duration for number in range(gap.candles)]
    kinds = [(opened, _kind(opened, timeframe, quiet, noted) or gap.kind) for opened in opens]
    runs = [(kind, list(run)) for kind, run in groupby(kinds, key=lambda each: each[1])]
    return [Gap(run[0][0], len(run), kind) for kind, run in runs]


def _kind(
    opened: datetime, timeframe: Timeframe, quiet: set[datetime], noted: Sequence[FeedGap]
) -> GapKind | None:
    """Return why the candle is missing, as far as the stream was there; None where it was not."""
    closes = opened + timeframe.duration
    touching = [gap for gap in noted if gap.since < closes and (gap.until is None or gap.until >= opened)]
    if any(gap.kind is MissingKind.MAINTENANCE for gap in touching):
        return GapKind.MAINTENANCE
    if any(gap.state is GapState.OPEN for gap in touching):
        return GapKind.FEED_GAP
    return GapKind.NO_TRADE if opened in quiet or touching else None
