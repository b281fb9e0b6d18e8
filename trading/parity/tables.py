"""The report as a person reads it: tables of text cells."""

from collections.abc import Sequence
from decimal import Decimal

from trading.parity.report import ParityReport

CAUSE_COLUMNS = ("time (UTC)", "pair", "kind", "amount", "what")


def parts_table(report: ParityReport) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: back-test, every part, live; a column for each pair and one for all."""
    head = ["", *(str(each.pair) for each in report.pairs), f"all, {report.quote}"]
    rows = [["back-test", *(_amount(each.backtest) for each in report.pairs), _amount(report.backtest)]]
    for kind, amount in report.parts.items():
        rows.append([kind.value, *(_amount(each.parts[kind]) for each in report.pairs), _amount(amount)])
    rows.append(["live", *(_amount(each.live) for each in report.pairs), _amount(report.live)])
    candles = [f"{each.decisions} of {each.candles}" for each in report.pairs]
    return head, [*rows, ["candles decided on", *candles, ""]]


def cause_rows(report: ParityReport) -> list[Sequence[str]]:
    return [
        (
            f"{cause.at:%H:%M:%S}",
            str(pair),
            cause.kind.value,
            "" if cause.amount is None else _amount(cause.amount),
            cause.words,
        )
        for pair, cause in report.causes
    ]


def _amount(amount: Decimal) -> str:
    return f"{float(amount):+.5g}" if amount else "0"
