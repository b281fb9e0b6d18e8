"""What a live demo prints when it is done: the comparison with the exchange, decisions, orders and latencies."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.commands import compare_tape, parity
from orchestration.commands.compare_tape import TapeComparison
from orchestration.commands.demo_words import count
from orchestration.commands.live_demo_facts import STAGES, Latency
from trading.orders import Fill, OrderKind
from trading.parity import ParityReport
from trading.ports import FailureNote

MAX_SHOWN = 12  # orders, and fills


@dataclass(frozen=True, slots=True)
class Outcome:
    """The facts of a live demo that is over."""

    label: str
    home: Path
    comparison: TapeComparison
    receipts: Sequence[Mapping[str, Any]]  # newest first
    fills: Sequence[Fill]  # as the journal has them, oldest first
    closed_by: Mapping[tuple[str, OrderKind], int]  # orders that closed positions, by pair and kind
    latencies: Sequence[Latency]
    failures: Sequence[FailureNote]
    parity: ParityReport | None  # of the day; None: it did not end
    decides: bool
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Return whether everything is stored once, decisions followed, no run failed, and the day is explained."""
        followed = bool(self.latencies) or not self.decides
        explained = self.parity is None or self.parity.is_explained
        return self.comparison.complete and not self.failures and followed and explained


def show_outcome(outcome: Outcome, out: Console) -> None:
    """Print it for a person."""
    comparison = outcome.comparison
    period = f"{comparison.since:%Y-%m-%d %H:%M} to {comparison.until:%H:%M} UTC"
    out.print(f"\n{outcome.label}", style="bold", soft_wrap=True)
    out.print(
        f"Everything that happened at the exchange from {period} is expected in every table, all fills in theirs. "
        "What is stored of before or after is compared, too:",
        soft_wrap=True,
    )
    compare_tape.show(comparison, out)
    _show_decisions(outcome, out)
    if outcome.parity is not None:
        out.print("\nLive against back-test:", style="bold")
        parity.show(outcome.parity, out, causes=False)
        out.print(
            f"`marketloom parity {outcome.parity.day}` in its home says why, cause by cause", style="dim"
        )
    elif outcome.decides:
        out.print("The day did not end, so it was not compared with its back-test", style="dim")
    for note in outcome.failures:
        out.print(
            f"run {note.run_id[:8]} of {note.job} {note.partition} failed: {note.reason}", soft_wrap=True
        )
    out.print(
        "\n" + _verdict(outcome), style="bold green" if outcome.succeeded else "bold red", soft_wrap=True
    )
    out.print(
        f"It all lies in {outcome.home} until the next live demo: MARKETLOOM_HOME={outcome.home} "
        f"MARKETLOOM_CONFIG={outcome.home / 'live-demo.toml'} marketloom status ({outcome.seconds:.0f} s)",
        style="dim",
        soft_wrap=True,
    )


def _show_decisions(outcome: Outcome, out: Console) -> None:
    if not outcome.decides:
        out.print("No decisions: decisions need twelve days of history, and this recording is shorter")
        return
    table = Table("pair", "decisions", "actions", "orders", "closed by stop", "otherwise")
    by_pair: dict[str, list[Mapping[str, Any]]] = {}
    for receipt in outcome.receipts:
        by_pair.setdefault(receipt["pair"], []).append(receipt)
    for pair, receipts in sorted(by_pair.items()):
        actions = Counter(receipt["action"] for receipt in receipts).most_common()
        table.add_row(
            pair,
            str(len(receipts)),
            ", ".join(f"{number} {action}" for action, number in actions),
            str(sum(bool(receipt["intent"]) for receipt in receipts)),
            str(outcome.closed_by.get((pair, OrderKind.STOP), 0)),
            str(outcome.closed_by.get((pair, OrderKind.EXIT), 0)),
        )
    out.print(table)
    _show_latencies(outcome.latencies, out)
    for receipt in [each for each in reversed(outcome.receipts) if each["intent"]][:MAX_SHOWN]:
        at = f"{datetime.fromisoformat(receipt['decided_at']):%H:%M:%S}"
        out.print(
            f"  {at} {receipt['pair']}: {receipt['outcome']} ({receipt['decision_id'][:8]})", soft_wrap=True
        )
    for fill in outcome.fills[:MAX_SHOWN]:
        out.print(
            f"  {fill.filled_at:%H:%M:%S} {fill.pair}: filled, {fill.side} {fill.quantity:f} at {fill.price:f}",
            style="dim",
            soft_wrap=True,
        )


def _show_latencies(latencies: Sequence[Latency], out: Console) -> None:
    """Print the seconds from the moment at which a closed candle was stored, stage by stage."""
    table = Table("from the stored candle to", "number", "median", "90 %", "99 %", "slowest", title="Seconds")
    for column in table.columns[1:]:
        column.justify = "right"
    for stage in STAGES:
        times = sorted(each.stages[stage] for each in latencies if stage in each.stages)
        if times:
            shown = (times[math.ceil(share * len(times)) - 1] for share in (0.5, 0.9, 0.99, 1.0))
            table.add_row(stage, str(len(times)), *(f"{seconds:.2f}" for seconds in shown))
    if table.rows:
        out.print(table)


def _verdict(outcome: Outcome) -> str:
    parts = outcome.comparison.parts
    if not outcome.comparison.complete:
        wrong = sum(not part.complete for part in parts)
        return f"{count(wrong, 'table')} of {len(parts)} differ from what happened at the exchange"
    if outcome.failures:
        return f"{count(len(outcome.failures), 'run')} failed"
    if outcome.parity is not None and not outcome.parity.is_explained:
        return "A part of the difference between the day and its back-test has no cause"
    if outcome.decides and not outcome.latencies:
        return "No decision followed a candle of the market that moved"
    trades, candles, fills = (
        count(sum(part.expected for part in parts if part.table.startswith(table)), noun)
        for table, noun in (("bus trades", "trade"), ("bus candles", "candle"), ("fills", "fill"))
    )
    whole = "Nothing is missing, doubled or different"
    if not any(part.expected for part in parts if part.table == "fills"):
        return (
            f"{whole}: {trades}, {candles}, in every place where they belong. "
            "No order was filled, so no fill was compared"
        )
    return f"{whole}: {trades}, {candles}, {fills}, in every place where they belong"
