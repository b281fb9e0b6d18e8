"""The back-test report as one HTML file, its trades beside it as Parquet."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from assets import html_page
from trading.atomic_files import replace_file
from trading.reports import COST_COLUMNS, METRIC_COLUMNS, TRADE_COLUMNS, BacktestReport
from trading.sealed_parquet import sealed_parquet

POINTS = 1500  # more cannot be told apart on a page
SHOWN_TRADES = 1000  # newest ones; the Parquet file beside the page has them all
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write_report(report: BacktestReport, folder: Path) -> Path:
    """Replace the page, the trades and the facts of this pair and strategy; returns the page's path."""
    files = {
        "parquet": sealed_parquet(report.trades),
        "json": json.dumps(report.facts(), indent=1, default=str).encode(),
        "html": backtest_page(report).encode(),
    }
    for kind, content in files.items():
        replace_file(folder / f"{report.name}.{kind}", content)
    return folder / f"{report.name}.html"


def backtest_page(report: BacktestReport) -> str:
    thin = report.curves.gather_every(max(1, report.curves.height // POINTS))
    times = thin["close_time"].to_list()
    return html_page.page(
        f"{report.strategy} on {report.pair}",
        [
            html_page.paragraph(report.headline),
            *(html_page.paragraph(note, note=True) for note in report.notes),
            html_page.chart(
                "Equity, counted in what it opened with",
                times,
                {report.strategy: thin["equity"].to_list(), "buy and hold": thin["holding"].to_list()},
            ),
            html_page.chart(
                "Below the highest equity so far",
                times,
                {"drawdown": (-thin["drawdown"]).to_list()},
                fill=True,
                height=1.8,
            ),
            html_page.heading("Metrics"),
            html_page.table(METRIC_COLUMNS, report.metric_rows()),
            *(html_page.paragraph(line, note=True) for line in report.explanations),
            html_page.heading("What costs take"),
            html_page.table(COST_COLUMNS, report.cost_rows()),
            html_page.heading("Monthly returns, percent"),
            html_page.shaded_table(("year", *MONTHS, "year"), list(month_rows(report.months)), 0.2),
            html_page.heading(f"Trades ({report.trades.height})"),
            *_trades(report),
        ],
    )


def month_rows(months: pl.DataFrame) -> Iterator[list[float | str | None]]:
    """Yield a row per year: its twelve months and the whole year."""
    for (year,), rows in months.group_by("year", maintain_order=True):
        known = dict(rows.select("month", "return").iter_rows())
        whole = (1 + rows["return"]).product() - 1
        yield [str(year), *(known.get(month) for month in range(1, 13)), whole]


def _trades(report: BacktestReport) -> list[str]:
    if report.trades.is_empty():
        return [html_page.paragraph("none")]
    rows = list(report.trade_rows(SHOWN_TRADES))
    table = html_page.table(TRADE_COLUMNS, rows, scrolls=True)
    if len(rows) == report.trades.height:
        return [table]
    return [
        table,
        html_page.paragraph(
            f"the newest {len(rows)}; all are in the Parquet file beside this page", note=True
        ),
    ]
