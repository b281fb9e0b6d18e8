"""The time that the dataset covers, which months and days as partitions begin and end with.

It is found when the definitions are loaded, without a connection unless the tables lie in ClickHouse; what is imported
later shows when they are loaded again.
"""

from datetime import date, datetime
from pathlib import Path

from assets.partitions import CALENDAR_START, Span
from orchestration.settings_schema import Settings
from orchestration.tables import candle_table
from trading.errors import MarketloomError
from trading.importers.landing_area import LandingArea
from trading.market import midnight


def dataset_span(settings: Settings, home: Path, today: date) -> Span:
    """Return the dataset's first day and its end; no end where candles go on closing."""
    until = settings.market.known_until
    first, end = _source_span(settings, home, today, until)
    stored = _first_stored(settings, home)
    return Span(settings.market.since or min(first, stored or first), end)


def _source_span(
    settings: Settings, home: Path, today: date, until: datetime | None
) -> tuple[date, datetime | None]:
    match settings.market.source:
        case "simulator":
            return settings.simulator.start, _earlier(midnight(settings.simulator.end), until)
        case "files":
            return _imported(settings, home, until)
        case "sandbox":
            return _sandbox_start(settings, today), until
        case _:
            months = settings.policy.train_months + settings.promotion.minimum_folds
            return _months_before(today, months), until


def _imported(settings: Settings, home: Path, until: datetime | None) -> tuple[date, datetime | None]:
    """Return the span of the imported candles of all pairs; without any, the calendar's."""
    source = LandingArea(home / "landing").source(settings.market.venue, settings.market.timeframe, until)
    try:
        first, end = source.extent(settings.market.pairs)
    except MarketloomError:  # a run names the damaged file; the graph must load all the same
        return CALENDAR_START, until
    return first.date(), _earlier(end, until)


def _sandbox_start(settings: Settings, today: date) -> date:
    sandbox = settings.sandbox
    if sandbox.is_replay and sandbox.started_at is None:
        return CALENDAR_START  # only the running sandbox knows where in its files it began
    begins = sandbox.started_at.date() if sandbox.started_at else today
    return date.fromordinal(begins.toordinal() - sandbox.history_days)


def _first_stored(settings: Settings, home: Path) -> date | None:
    table = candle_table(settings, home)
    return min((months[0] for pair in settings.market.pairs if (months := table.months(pair))), default=None)


def _months_before(day: date, count: int) -> date:
    months = day.year * 12 + day.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)


def _earlier(end: datetime, until: datetime | None) -> datetime:
    return min(end, until) if until else end
