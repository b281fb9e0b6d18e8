"""What a live demo prints when it is done: the comparison with the exchange, decisions, orders and latencies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.commands import compare_tape
from orchestration.commands.compare_tape import TapeComparison
from orchestration.commands.demo_words import count
from orchestration.commands.live_demo_facts import Latency
from trading.orders import Fill
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
    latencies: Sequence[Latency]
    failures: Sequence[FailureNote]
    decides: bool
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Return whether everything is stored once, decisions followed, and no run failed."""
        return self.comparison.complete and not self.failures and bool(self.latencies or not self.decides)


def show_outcome(outcome: Outcome, out: Console) -> None:
    """Print it for a person."""
    comparison = outcome.comparison
    period = f"{comparison.since:%Y-%m-%d %H:%M} to {comparison.until:%H:%M} UTC"
    out.print(f"\n{outcome.label}", style="bold", soft_wrap=True)
    out.print(f"Everything that happened at the exchange from {period}, and what is stored of it:")
    compare_tape.show(comparison, out)
    _show_decisions(outcome, out)
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
        out.print(
            "No decisions: candles of a minute need eleven days of history, and this recording is shorter"
        )
        return
    table = Table("pair", "decisions", "actions", "orders", "close to decision, median", "slowest")
    by_pair: dict[str, list[Mapping[str, Any]]] = {}
    for receipt in outcome.receipts:
        by_pair.setdefault(receipt["pair"], []).append(receipt)
    for pair, receipts in sorted(by_pair.items()):
        actions = Counter(receipt["action"] for receipt in receipts).most_common()
        times = [each.seconds for each in outcome.latencies if each.pair == pair]
        table.add_row(
            pair,
            str(len(receipts)),
            ", ".join(f"{number} {action}" for action, number in actions),
            str(sum(bool(receipt["intent"]) for receipt in receipts)),
            f"{median(times):.2f} s" if times else "-",
            f"{max(times):.2f} s" if times else "-",
        )
    out.print(table)
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


def _verdict(outcome: Outcome) -> str:
    parts = outcome.comparison.parts
    if not outcome.comparison.complete:
        wrong = sum(not part.complete for part in parts)
        return f"{count(wrong, 'table')} of {len(parts)} differ from what happened at the exchange"
    if outcome.failures:
        return f"{count(len(outcome.failures), 'run')} failed"
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
