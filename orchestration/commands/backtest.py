"""`marketloom backtest`: a back-test on the stored candles, printed and written as a page."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from assets.backtest_page import MONTHS, month_rows, write_report
from ml.backtests import BacktestRequest, parse_timeframe, parse_utc
from ml.strategies import Strategy
from orchestration.backtesting import REPORTS, build_backtester
from orchestration.settings import home_folder, load_settings
from trading.market import Pair
from trading.reports import COST_COLUMNS, METRIC_COLUMNS, TRADE_COLUMNS, BacktestReport

SHOWN_TRADES = 10


def run_backtest(
    strategy: str, pair: str, start: str, end: str, path: str, ignore_pause: bool
) -> tuple[BacktestReport, Path]:
    """Return the report and its page's path. Candles, features and policies are read from the home folder.

    Only `desk` starts PostgreSQL where it does not run: past champions and news lie there.
    """
    request = BacktestRequest(
        strategy=Strategy.parse(strategy),
        pair=Pair.parse(pair),
        start=parse_utc(start),
        end=parse_utc(end),
        path=parse_timeframe(path),
        ignore_pause=ignore_pause,
    )
    home = home_folder()
    if request.strategy is Strategy.DESK:
        report = _run_with_database(request)
    else:
        report = build_backtester(load_settings(), home).run(request)
    return report, write_report(report, home / REPORTS)


def _run_with_database(request: BacktestRequest) -> BacktestReport:
    from orchestration.services import Services  # loads Dagster, which the other strategies do without
    from orchestration.system import running_system

    with running_system():
        return Services.current().backtester.run(request)


def facts(report: BacktestReport, page: Path) -> dict[str, Any]:
    return report.facts() | {"report": str(page)}


def show(report: BacktestReport, page: Path, out: Console) -> None:
    out.print(f"\n{report.headline}", style="bold")
    for note in report.notes:
        out.print(f"  {note}", style="dim")
    out.print(_table("Metrics", METRIC_COLUMNS, report.metric_rows()))
    out.print(_table("The same plan at multiples of all costs", COST_COLUMNS, report.cost_rows()))
    for line in report.explanations:
        out.print(f"  {line}", style="dim")
    months = [tuple(map(_cell, row)) for row in month_rows(report.months)]
    out.print(_table("Monthly returns, percent", ("year", *MONTHS, "year"), months))
    newest = list(report.trade_rows(SHOWN_TRADES))
    out.print(_table(f"Newest {len(newest)} of {report.trades.height} trades", TRADE_COLUMNS, newest))
    out.print(f"\nreport: {page}", soft_wrap=True)


def _cell(value: float | str | None) -> str:
    return f"{100 * value:+.1f}" if isinstance(value, float) else value or ""


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
