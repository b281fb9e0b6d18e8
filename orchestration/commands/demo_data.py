"""The market data of a demo: real files or the simulator, stored in chosen.toml so that the UI uses the same."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ml.news.files import NewsFiles
from orchestration.commands.demo_window import JudgedMonths, choose_window
from orchestration.commands.import_candles import import_files, show
from orchestration.settings import load_settings, write_chosen
from orchestration.settings_schema import Settings
from orchestration.system import System
from trading.errors import NotStored, UnreadableFile
from trading.importers.common_window import CommonWindow, common_windows
from trading.importers.landing_area import LandingArea
from trading.market import Timeframe, midnight, month_of


@dataclass(frozen=True, slots=True)
class DemoData:
    """The candles (start <= open time, closed by `end`) and news days that a demo uses."""

    label: str
    start: datetime
    end: datetime
    news: tuple[date, date] | None  # first and last day on which an article became known

    @property
    def first_month(self) -> date:
        return month_of(self.start)

    @property
    def last_month(self) -> date:
        return month_of(self.end - timedelta(microseconds=1))

    @property
    def last_day(self) -> date:
        return (self.end - timedelta(microseconds=1)).date()

    def news_days(self, count: int) -> tuple[date, date] | None:
        """Return the last `count` days with news that the candles' time covers."""
        if self.news is None:
            return None
        last = min(self.news[1], self.last_day)
        return max(self.news[0], self.start.date(), last - timedelta(days=count - 1)), last


def choose_files(system: System, data: Path, out: Console) -> DemoData:
    """Import the candle files under `data` and choose the time that shows most (demo_window).

    The last candle stays unknown to everybody but the paper exchange: it holds the price that orders fill at.
    """
    candles, news = _folders(data)
    articles = NewsFiles(news) if news else None
    reports = [row for row in import_files(candles, None, None, None) if _may_hold_our_pair(row, system)]
    refused = [row for row in reports if row["refused_reason"]]
    windows = _common_windows(system, reports, refused)
    window = choose_window(
        windows,
        articles,
        judged_months(system.settings),
        timedelta(hours=system.settings.risk.sentiment_age_hours),
    )
    show([*(row for row in reports if _is_in_window(row, window)), *refused], out)
    for reason in articles.refused if articles else ():
        out.print(Text.assemble(("refused", "red"), f" {reason}"), soft_wrap=True)
    end = window.end - window.timeframe.duration
    _store_choice(system, _files_overlay(window, end, news), window.timeframe, window.start, end)
    label = f"{window.venue} {window.timeframe.value} candles from {window.start:%Y-%m-%d} to {end:%Y-%m-%d %H:%M} UTC"
    label += "" if window in windows else ", where the news end"
    return DemoData(label, window.start, end, _news_span(articles, window.start, end))


def choose_simulator(system: System) -> DemoData:
    """Choose the seeded simulator of the settings, labelled as such."""
    simulator = system.settings.simulator
    start, end = (midnight(day) for day in (simulator.start, simulator.end))
    overlay = '[market]\nsource = "simulator"\nuntil = ""\nnews = ""\n'
    timeframe = load_settings(with_choice=False).market.timeframe
    _store_choice(system, overlay, timeframe, start, end)
    label = (
        f"SIMULATED market, seed {simulator.seed}, from {simulator.start} to {simulator.end}: not real prices"
    )
    return DemoData(label, start, end, (simulator.start, simulator.end))


def judged_months(settings: Settings) -> JudgedMonths:
    return JudgedMonths(settings.promotion.minimum_folds, settings.promotion.minimum_coverage)


def _folders(data: Path) -> tuple[Path, Path | None]:
    """Find the folders: candles in `ohlcv` or the folder itself, news in `news` when that is there."""
    if not data.is_dir():
        raise UnreadableFile(f"{data} is not a folder: name one that holds candle files, or leave DATA out")
    candles, news = data / "ohlcv", data / "news"
    return (candles if candles.is_dir() else data), (news.resolve() if news.is_dir() else None)


def _may_hold_our_pair(row: dict[str, Any], system: System) -> bool:
    """Leave out files known to hold another pair; one that cannot be read might hold ours."""
    return row["pair"] is None or row["pair"] in {str(pair) for pair in system.settings.market.pairs}


def _common_windows(
    system: System, reports: list[dict[str, Any]], refused: list[dict[str, Any]]
) -> list[CommonWindow]:
    """Find the common times among these files; NotStored names what was refused."""
    spans: dict[tuple[str, Timeframe], list[datetime]] = {}
    for row in reports:
        if not row["refused_reason"]:
            times = [datetime.fromisoformat(row[name]) for name in ("first", "last")]
            spans.setdefault((row["venue"], Timeframe(row["timeframe"])), []).extend(times)
    kinds = {kind: (min(times), max(times) + kind[1].duration) for kind, times in spans.items()}
    try:
        return common_windows(LandingArea(system.home / "landing"), kinds, system.settings.market.pairs)
    except NotStored as error:
        reasons = "".join(f"\nrefused {row['path']}: {row['refused_reason']}" for row in refused)
        raise NotStored(f"{error}{reasons}") from None


def _is_in_window(row: dict[str, Any], window: CommonWindow) -> bool:
    same = (row["venue"], row["timeframe"]) == (window.venue, window.timeframe.value)
    return same and not row["refused_reason"]


def _news_span(news: NewsFiles | None, start: datetime, end: datetime) -> tuple[date, date] | None:
    """First and last day in the candles' time on which an article became known."""
    if news is None:
        return None
    known = news.articles(start, end)["known_at"]
    return (known[0].date(), known[-1].date()) if len(known) else None


def _files_overlay(window: CommonWindow, until: datetime, news: Path | None) -> str:
    return (
        f'[market]\nsource = "files"\nvenue = "{window.venue}"\ntimeframe = "{window.timeframe.value}"\n'
        f'until = "{until.isoformat()}"\nnews = {json.dumps(str(news or ""))}\n'
    )


def _store_choice(system: System, market: str, timeframe: Timeframe, start: datetime, end: datetime) -> None:
    """Store the market, an account of its own, and fewer training months where the gate's months would not fit in.

    The account is of this timeframe alone: one strategy at a time trades an account, and demos follow each other fast.
    """
    wanted = load_settings(with_choice=False).policy.train_months
    months = judged_months(system.settings).training_months(wanted, start, end)
    fewer = f"\n[policy]\ntrain_months = {months}  # of {wanted}: the gate's months fit in behind them\n"
    account = f'\n[venue]\naccount = "demo-{timeframe.value}"\n'
    write_chosen(system.home, market + account + (fewer if months < wanted else ""))
