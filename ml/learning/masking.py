"""Rows that nothing is learned from or judged by: what they see or earn lies in a feed gap that nothing has repaired.

The stream may have missed trades there. Such a row's features rest on candles that may be wrong, or its reward does, so
it is left out, and nothing that has a course, an episode or an equity curve, goes on across it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.indicators import FEATURES
from trading.market import Timeframe

Interval = tuple[datetime, datetime]  # [since, until), UTC
Mask = npt.NDArray[np.bool_]
# A decision after candle i is executed at the open of i + 1 and earns until the open of i + 2, which trades in there.
CANDLES_OF_REWARD = 3


def reach(feature_names: Collection[str], timeframe: Timeframe) -> int:
    """Return how many candles back the features of a row reach at most; those that are not ours reach none."""
    known = (feature for feature in FEATURES if feature.name in feature_names)
    return max((feature.warm_up_for(timeframe) for feature in known), default=0)


def masked_rows(
    opens: pl.Series, timeframe: Timeframe, feature_names: Collection[str], unrepaired: Sequence[Interval]
) -> Mask:
    """Mark the rows, by ascending open time, whose window or reward touches one of the unrepaired stretches."""
    masked = np.zeros(len(opens), dtype=np.bool_)
    if not unrepaired or not len(opens):
        return masked
    rows, times = reach(feature_names, timeframe), opens.to_numpy().astype("datetime64[us]")
    step = np.timedelta64(timeframe.duration)
    # Candles are missing here and there: a window of rows reaches further back than its candles are long.
    before = np.concatenate([np.full(min(rows, len(times)), times[0]), times[: max(len(times) - rows, 0)]])
    first, last = np.minimum(before, times - rows * step), times + CANDLES_OF_REWARD * step
    for since, until in unrepaired:
        masked |= (first < _micro(until)) & (last > _micro(since))
    return masked


def stretches(masked: Mask) -> list[slice]:
    """Return the runs of rows that are not masked."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], masked, [True]]).astype(np.int8)))
    return [slice(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _micro(time: datetime) -> np.datetime64:
    return np.datetime64(time.replace(tzinfo=None), "us")
