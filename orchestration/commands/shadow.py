"""`marketloom shadow`: decides on every candle of the past in shadow mode, a challenger beside the champion."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml.agents.opinions import Action
from ml.backtests import parse_utc
from ml.decision.shadow_span import ShadowCandle, ShadowOutcome, ShadowTotals, shadow_moments, shadow_span
from orchestration.commands.demo_words import count
from orchestration.progress import stage
from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Side

SHOWN = 20
VERBS = {Side.BUY: "would have bought", Side.SELL: "would have sold"}


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What was decided on each candle.

    `challenger` is a policy's id, empty where the champion decided alone; `trained_until` is the close of the newest
    candle that it learned from.
    """

    pair: Pair
    challenger: str
    candles: tuple[ShadowCandle, ...]
    trained_until: datetime | None = None

    @property
    def totals(self) -> Mapping[str, ShadowTotals]:
        """Return the champion's, and the challenger's where there is one."""
        others = [each.challenger for each in self.candles if each.challenger]
        found = {"champion": ShadowTotals.of([each.champion for each in self.candles])}
        return found | ({"challenger": ShadowTotals.of(others)} if self.challenger else {})

    @property
    def agreed(self) -> int:
        return sum(each.agrees for each in self.candles)

    @property
    def in_sample(self) -> int:
        """Return how many of the candles the challenger knew, or could have learned from, when it was trained."""
        until = self.trained_until
        return 0 if until is None else sum(each.closed_at <= until for each in self.candles)

    def facts(self) -> dict[str, Any]:
        """Return everything as plain values."""
        compared = {"agreed": self.agreed, "in_sample": self.in_sample} if self.challenger else {}
        return {
            "pair": str(self.pair),
            "challenger": self.challenger,
            "candles": len(self.candles),
            **compared,
            "totals": {name: asdict(each) for name, each in self.totals.items()},
            "decisions": [asdict(each) for each in self.candles],
        }


def shadow_past(pair: str, start: str, end: str, challenger: str, progress: Console) -> ShadowReport:
    """Decide on every stored candle that closed in the span, with a bar on `progress`."""
    wanted, begin, until = Pair.parse(pair), parse_utc(start), parse_utc(end)
    if begin is None:
        raise InvalidValue("--from is empty: name the UTC day or time that the span begins with")
    with running_system():
        services = Services.current()
        reader = services.input_reader
        policy = reader.policies.by_id(wanted, challenger) if challenger else None
        moments = shadow_moments(reader, wanted, begin, until)
        with stage(
            progress, f"{wanted}: {count(len(moments), 'candle')} in shadow mode", len(moments)
        ) as running:
            candles = []
            for each in shadow_span(
                wanted, moments, reader, services.rules, services.journal, challenger=challenger
            ):
                candles.append(each)
                running.advance()
    return ShadowReport(
        wanted, challenger, tuple(candles), trained_until=policy.manifest.training_end if policy else None
    )


def show(report: ShadowReport, out: Console) -> None:
    """Print the totals, how often both agree, and the first candles on which they do not."""
    totals = report.totals
    table = Table("", *totals)
    for words, *cells in _rows(totals.values(), report.pair.base):
        table.add_row(words, *cells)
    out.print(table)
    if not report.challenger:
        return
    total, acting = len(report.candles), [each for each in report.candles if not each.is_held]
    out.print(f"the same action on {report.agreed} of {total} candles ({report.agreed / total:.1%})")
    out.print(
        f"either wants to act on {count(len(acting), 'candle')}, both the same on {sum(each.agrees for each in acting)}"
    )
    if report.in_sample:
        out.print(
            f"{report.in_sample} of the candles are in-sample for the challenger: it was trained up to "
            f"{report.trained_until:%Y-%m-%d %H:%M} UTC, and says nothing there of what it can do",
            soft_wrap=True,
        )
    unlike = [each for each in report.candles if not each.agrees]
    for each in unlike[:SHOWN]:
        assert each.challenger is not None
        words = f"champion {_words(each.champion)}, challenger {_words(each.challenger)}"
        out.print(Text(f"  {each.closed_at:%Y-%m-%d %H:%M}  {words}"), soft_wrap=True)
    if len(unlike) > SHOWN:
        out.print(f"... and {len(unlike) - SHOWN} more: --json lists all")


def _rows(columns: Collection[ShadowTotals], base: str) -> Iterator[tuple[str, ...]]:
    yield ("decisions", *(str(each.decisions) for each in columns))
    for action in Action:
        yield (action.value, *(str(each.actions[action]) for each in columns))
    yield ("refused by risk", *(str(each.refused) for each in columns))
    for side, words in VERBS.items():
        amounts = (
            f"{each.quantities[side]} {base} in {count(each.orders[side], 'order')}"
            if each.orders[side]
            else "nothing"
            for each in columns
        )
        yield (words, *amounts)


def _words(outcome: ShadowOutcome) -> str:
    """Describe a decision: its action, and its order or who refused it."""
    if outcome.side:
        return f"{outcome.action} ({outcome.side.value} {outcome.quantity})"
    return f"{outcome.action}{' (refused by risk)' if outcome.refused else ''}"
