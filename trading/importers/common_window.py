"""The windows in which one venue has candles of all pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from trading.errors import NotStored
from trading.importers.landing_area import LandingArea
from trading.market import Pair, Timeframe

MAX_GAP = timedelta(days=7)  # a longer one is the end of a recording, not an outage


@dataclass(frozen=True, slots=True)
class CommonWindow:
    """A time in which a venue has candles of all pairs."""

    venue: str
    timeframe: Timeframe
    start: datetime  # first open time
    end: datetime  # last close time

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def longest_common_window(
    landing: LandingArea, kinds: Mapping[tuple[str, Timeframe], "Period"], pairs: Sequence[Pair]
) -> CommonWindow:
    """Find the longest window, of equal ones the finer; NotStored as `common_windows`."""
    return max(
        common_windows(landing, kinds, pairs), key=lambda window: (window.length, -window.timeframe.duration)
    )


def common_windows(
    landing: LandingArea, kinds: Mapping[tuple[str, Timeframe], "Period"], pairs: Sequence[Pair]
) -> list[CommonWindow]:
    """Find every window over the given (venue, timeframe) kinds, each within its own bounds.

    NotStored when no kind has all pairs at the same time.
    """
    windows = [
        window for kind, bounds in kinds.items() for window in _windows_of_kind(landing, *kind, bounds, pairs)
    ]
    if not windows:
        names = ", ".join(map(str, pairs))
        raise NotStored(f"no venue and timeframe has candles of {names} at the same time: import more files")
    return windows


def _windows_of_kind(
    landing: LandingArea, venue: str, timeframe: Timeframe, bounds: "Period", pairs: Sequence[Pair]
) -> list[CommonWindow]:
    source = landing.source(venue, timeframe)
    if not set(pairs) <= set(source.pairs()):
        return []
    shared = [bounds]
    for pair in pairs:
        shared = _intersections(shared, _periods(source.candles(pair, *source.span(pair))))
    return [CommonWindow(venue, timeframe, start, end) for start, end in shared]


Period = tuple[datetime, datetime]


def _periods(candles: pl.DataFrame) -> list[Period]:
    """(first open, last close) of every run of candles without a long gap."""
    new = (pl.col("open_time") - pl.col("close_time").shift() > MAX_GAP).fill_null(False)
    runs = candles.group_by(new.cum_sum().alias("run"), maintain_order=True)
    return list(runs.agg(pl.col("open_time").first(), pl.col("close_time").last()).drop("run").iter_rows())


def _intersections(left: list[Period], right: list[Period]) -> list[Period]:
    overlaps = [(max(a[0], b[0]), min(a[1], b[1])) for a in left for b in right]
    return [overlap for overlap in overlaps if overlap[0] < overlap[1]]
