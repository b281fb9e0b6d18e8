"""Why candles are missing: each candle of the grid without a trade gets one reason. Times are UTC."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trading.feed_gaps import FeedGap, GapState, MissingInterval, MissingKind
from trading.market import Pair, Timeframe

Mask = NDArray[np.bool_]


def missing_candles(
    pair: Pair,
    timeframe: Timeframe,
    start: datetime,
    end: datetime,
    candles: Sequence[tuple[datetime, int | None]],
    gaps: Sequence[FeedGap],
) -> list[MissingInterval]:
    """Classify each stretch of the grid in [start, end) that has no candle with a trade, oldest first.

    `candles` are open time and trades of the newest revisions there, `gaps` those that touch the interval. While the
    venue was not open, a candle without a trade is MAINTENANCE; NO_TRADE is only what was proven; everything else,
    the time before the stream began included, is a FEED_GAP. A candle that an open gap touches is not repaired.
    """
    first, step = timeframe.ceil(start), timeframe.duration
    count = max(-((first - end) // step), 0)
    if count == 0:
        return []
    traded, quiet = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for open_time, trades in candles:
        if first <= open_time < end:
            (quiet if trades == 0 else traded)[(open_time - first) // step] = True
    touched = {kind: np.zeros(count, np.bool_) for kind in MissingKind}
    open_gaps, proven = np.zeros(count, np.bool_), quiet.copy()
    for gap in gaps:
        begin = max((gap.since - first) // step, 0)
        stop = count if gap.until is None else max((gap.until - first) // step + 1, 0)
        touched[gap.kind][begin:stop] = True
        if gap.state is GapState.OPEN:
            open_gaps[begin:stop] = True
        elif gap.until is not None:
            whole = max(-((first - gap.since) // step), 0)
            proven[whole : max((gap.until - first) // step, 0)] = True
    maintenance = touched[MissingKind.MAINTENANCE]
    repaired = proven & ~open_gaps
    kinds = np.select([traded, maintenance, quiet & ~open_gaps], [0, 1, 2], default=3)
    return _intervals(pair, timeframe, first, kinds, repaired)


def unrepaired_share(missing: Sequence[MissingInterval], start: datetime, end: datetime) -> float:
    """Return the share of [start, end) of which it is not known what traded, from 0 to 1."""
    if end <= start:
        return 0.0
    unknown = (min(each.until, end) - max(each.since, start) for each in missing if not each.repaired)
    return sum(max(each.total_seconds(), 0.0) for each in unknown) / (end - start).total_seconds()


def _intervals(
    pair: Pair, timeframe: Timeframe, first: datetime, kinds: NDArray[np.int64], repaired: Mask
) -> list[MissingInterval]:
    names = {1: MissingKind.MAINTENANCE, 2: MissingKind.NO_TRADE, 3: MissingKind.FEED_GAP}
    codes = kinds * 2 + repaired
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return [
        MissingInterval(
            pair=pair,
            since=first + begin * timeframe.duration,
            until=first + stop * timeframe.duration,
            kind=names[int(kinds[begin])],
            repaired=bool(repaired[begin]),
        )
        for begin, stop in pairwise(edges)
        if kinds[begin]
    ]
