"""What a demo prints when it is done: facts read back from the stores."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orchestration.commands.demo_summary import DemoSummary, PairSummary
from orchestration.commands.demo_words import (
    FOLD_COLUMNS,
    ORDER_COLUMNS,
    balances_text,
    champion_text,
    count,
    decisions_text,
    fold_rows,
    order_row,
    order_text,
)
from trading.indicators import FEATURE_NAMES


def print_summary(summary: DemoSummary, out: Console) -> None:
    out.print(f"\n{summary.label}", style="bold")
    out.print(_data_table(summary))
    out.print(_fold_table(summary))
    for each in summary.pairs:
        _print_gate(each, out)
    out.print("\nDecisions, on paper", style="bold")
    for each in summary.decided:
        _print_decisions(each, out)
    _print_orders(summary, out)
    out.print(f"\nequity {summary.curve.account[-1]:,.2f} {summary.quote}: {balances_text(summary.balances)}")


def _print_gate(each: PairSummary, out: Console) -> None:
    out.print(Text.assemble((str(each.pair), "bold"), " ", champion_text(each)))
    for reason in each.gate:
        out.print(f"    gate {reason}", style="dim", soft_wrap=True)


def _print_decisions(each: PairSummary, out: Console) -> None:
    out.print(f"  {each.pair}: {decisions_text(each)}, the newest:")
    out.print(f"    {each.newest['outcome']}", soft_wrap=True)
    out.print(f"    `marketloom why {each.newest['decision_id'][:8]}` explains it", style="dim")


def _print_orders(summary: DemoSummary, out: Console) -> None:
    if not summary.orders:
        out.print("\nNo order: no signal was clear enough, or risk refused it")
        return
    *numbers, words = ORDER_COLUMNS
    columns = [*(Column(name, no_wrap=True) for name in numbers), Column(words, overflow="fold")]
    table = Table(*columns, title=count(len(summary.orders), "order"), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for each in summary.orders:
        table.add_row(*order_row(each, summary.orders))
    out.print("", table)
    out.print("\nThe newest entry, explained", style="bold")
    entries = [each for each in summary.orders if each.is_entry] or summary.orders
    out.print(order_text(entries[-1]), soft_wrap=True)


def _data_table(summary: DemoSummary) -> Table:
    table = Table(
        "pair", "candles", "missing", "gaps", "longest gap", "features", title="Candles and features"
    )
    for each in summary.pairs:
        counted = each.counted
        numbers = (counted.rows, counted.missing, counted.gaps, counted.longest_gap, len(FEATURE_NAMES))
        table.add_row(str(each.pair), *map(str, numbers))
    return table


def _fold_table(summary: DemoSummary) -> Table:
    table = Table(*FOLD_COLUMNS, title="Out of sample, after costs")
    for row in fold_rows(summary):
        table.add_row(*row)
    return table
