"""The stretch of imported history that a demo shows: candles and news overlap, and months enough to be judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from ml.news.files import NewsSource
from trading.importers.common_window import CommonWindow
from trading.market import month_of, month_start, months_between, next_month

MIN_TRAINING_MONTHS = 2
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class JudgedMonths:
    """What the promotion gate asks of a history: `folds` test months, each whole by `coverage`."""

    folds: int
    coverage: float

    def whole(self, start: datetime, end: datetime) -> list[date]:
        """List the months of the history that a policy can be tested on: the last may have ended early."""
        months = months_between(month_of(start), month_of(end - MICROSECOND))
        return [month for month in months if self._is_whole(month, end)]

    def _is_whole(self, month: date, end: datetime) -> bool:
        first, last = month_start(month), month_start(next_month(month))
        return (end - first) / (last - first) >= self.coverage

    def training_months(self, wanted: int, start: datetime, end: datetime) -> int:
        """Return how many months a policy can learn from when all folds are to fit in; never more than `wanted`."""
        left = len(self.whole(start, end)) - self.folds
        return min(wanted, max(left, MIN_TRAINING_MONTHS))

    def fit_into(self, window: CommonWindow) -> bool:
        return len(self.whole(window.start, window.end)) >= self.folds + MIN_TRAINING_MONTHS


def choose_window(
    windows: Sequence[CommonWindow], news: NewsSource | None, judged: JudgedMonths, news_age: timedelta
) -> CommonWindow:
    """Choose the window that shows most: first one that all folds fit into, then the one with most articles.

    Without news, or among equals, the longest, then the finer. A window ends when its news have ended for longer
    than `news_age`, so that the analyst still votes at its end.
    """
    counted = [_end_with_news(window, news, news_age) for window in windows]
    window, _ = max(
        counted,
        key=lambda each: (judged.fit_into(each[0]), each[1], each[0].length, -each[0].timeframe.duration),
    )
    return window


def _end_with_news(
    window: CommonWindow, news: NewsSource | None, news_age: timedelta
) -> tuple[CommonWindow, int]:
    """Return the window up to its last article where no more news follow, and the count of its articles."""
    if news is None:
        return window, 0
    known = news.articles(window.start, window.end)["known_at"]
    if known.is_empty() or window.end - known[-1] <= news_age:
        return window, len(known)
    step = window.timeframe.duration
    return replace(window, end=window.timeframe.floor(known[-1]) + 2 * step), len(known)
