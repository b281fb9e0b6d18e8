"""`marketloom parity`: one closed day against its back-test, and why live was another."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml.backtests import check_year
from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidValue
from trading.parity import ParityReport
from trading.parity.tables import CAUSE_COLUMNS, cause_rows, parts_table

EXPLAINED, UNEXPLAINED = 0, 3
DAY = timedelta(days=1)


def audit_day(day: str) -> ParityReport:
    """Audit the UTC day, the newest closed one by the account's clock without. InvalidValue for what is no day."""
    with running_system():
        return audit(Services.current(), day)


def audit(services: Services, day: str) -> ParityReport:
    """Do the same on a system that runs."""
    now = services.clock().at
    return services.parity_auditor.audit(_parse(day) if day else now.date() - DAY, now)


def _parse(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is not a day: write it like 2024-03-14") from None
    check_year(day)
    return day


def exit_code(report: ParityReport) -> int:
    return EXPLAINED if report.is_explained else UNEXPLAINED


def facts(report: ParityReport) -> dict[str, Any]:
    """Return the report as plain values; amounts are exact, in the account's quote."""
    whole = (
        "day",
        "account",
        "quote",
        "opening_equity",
        "closing_equity",
        "holding",
        "transfers",
        "conversions",
    )
    return {
        **{
            name: getattr(report, name)
            for name in (*whole, "backtest", "live", "difference", "parts", "unexplained", "left_over")
        },
        "explained": report.is_explained,
        "pairs": [
            {
                "pair": str(each.pair),
                "backtest": each.backtest,
                "live": each.live,
                "parts": each.parts,
                "candles": each.candles,
                "decisions": each.decisions,
            }
            for each in report.pairs
        ],
        "causes": [
            {
                "at": cause.at,
                "pair": str(pair),
                "kind": cause.kind,
                "amount": cause.amount,
                "words": cause.words,
            }
            for pair, cause in report.causes
        ],
        "notes": list(report.notes),
    }


def show(report: ParityReport, out: Console, *, causes: bool = True) -> None:
    """Print it for a person; without `causes` the parts alone."""
    out.print(Text(report.headline), soft_wrap=True)
    moved = {
        "what was held": report.holding,
        "paid in or out": report.transfers,
        "rebalancing": report.conversions,
        "decisions": report.live,
    }
    change = report.closing_equity - report.opening_equity
    words = ", ".join(f"{name} {float(amount):+.2f}" for name, amount in moved.items() if amount)
    out.print(
        Text(f"equity moved by {float(change):+.2f} {report.quote}: {words or 'nothing'}"), soft_wrap=True
    )
    out.print(_table(*parts_table(report)))
    if causes and (rows := cause_rows(report)):
        out.print(_table(CAUSE_COLUMNS, rows))
    for note in report.notes:
        out.print(Text(note), soft_wrap=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*head)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
