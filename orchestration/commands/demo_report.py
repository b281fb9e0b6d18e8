"""The demo's summary: facts read back from the stores, printed, and written as one self-contained HTML page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from assets import html_page
from ml.decision.explanation import explain
from ml.learning.evaluation import Evaluation
from ml.learning.evaluation_files import EvaluationFiles
from orchestration.commands.demo_data import DemoData
from orchestration.resources import Services
from trading.candles import quality
from trading.indicators import FEATURE_NAMES
from trading.market import Pair, month_start, next_month
from trading.orders import Fill, Order

RECENT = 1000  # decisions that a summary looks back on
FOLD_COLUMNS = (
    "pair", "test month", "policy", "buy and hold", "cash", "Sharpe", "drawdown", "trades", "frames/s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairSummary:
    pair: Pair
    candles: int
    missing: int
    gaps: int
    longest_gap: int
    folds: list[Evaluation]
    frames_per_second: list[float]  # per fold
    champion: str | None
    gate: tuple[str, ...]  # reasons of the promotion gate
    newest: dict[str, Any]  # receipt of the newest decision


@dataclass(frozen=True, slots=True)
class ExplainedOrder:
    """A decision that led to an order."""

    receipt: dict[str, Any]
    order: Order | None
    fills: list[Fill]

    @property
    def text(self) -> str:
        return explain(self.receipt, self.order, self.fills)


@dataclass(frozen=True, slots=True)
class DemoSummary:
    label: str
    dataset: str
    pairs: list[PairSummary]
    orders: list[ExplainedOrder]  # newest last
    balances: dict[str, str]
    equity: str


def summarise(services: Services, data: DemoData, folds: int) -> DemoSummary:
    """Collect the demo's results from the stores."""
    account = services.account.name
    snapshot = services.journal.snapshots(account)[-1]
    return DemoSummary(
        label=data.label,
        dataset=services.dataset,
        pairs=[_pair(services, pair, folds) for pair in services.settings.market.pairs],
        orders=_orders(services),
        balances={
            asset: f"{amount:f}" for asset, amount in sorted(services.journal.balances(account).items())
        },
        equity=f"{float(snapshot['equity']):.2f} {services.account.quote}",
    )


def _pair(services: Services, pair: Pair, folds: int) -> PairSummary:
    months = services.candle_store.months(pair)
    candles = services.candle_store.between(pair, month_start(months[0]), month_start(next_month(months[-1])))
    market = services.settings.market
    counted = quality(candles, market.timeframe, market.origin)
    evaluations = EvaluationFiles(services.policies).newest_run(pair)
    champion = services.policies.champion(pair)
    decisions = services.journal.decisions(services.account.name, limit=RECENT)
    verdicts = services.promotions.history(pair)
    return PairSummary(
        pair=pair,
        candles=counted.rows,
        missing=counted.missing,
        gaps=counted.gaps,
        longest_gap=counted.longest_gap,
        folds=evaluations[-folds:],
        frames_per_second=[
            services.policies.by_id(pair, fold.policy_id).manifest.frames_per_second
            for fold in evaluations[-folds:]
        ],
        champion=champion.policy_id if champion else None,
        gate=tuple(verdicts[0]["evidence"]["reasons"]) if verdicts else (),
        newest=next(row for row in decisions if row["pair"] == str(pair)),
    )


def _orders(services: Services) -> list[ExplainedOrder]:
    """Recent decisions with an order, oldest first."""
    account = services.account.name
    fills = services.journal.fills(account)
    return [
        ExplainedOrder(
            receipt,
            services.journal.order(receipt["intent"]["intent_id"]),
            [fill for fill in fills if fill.intent_id == receipt["intent"]["intent_id"]],
        )
        for receipt in reversed(services.journal.decisions(account, limit=RECENT))
        if receipt["intent"]
    ]


def print_summary(summary: DemoSummary, out: Console) -> None:
    out.print(f"\n[bold]{summary.label}[/bold]")
    out.print(_data_table(summary))
    out.print(_fold_table(summary))
    for each in summary.pairs:
        out.print(f"[bold]{each.pair}[/bold] champion: {each.champion or 'none, the quant agent abstains'}")
        for reason in each.gate:
            out.print(f"    gate {reason}", highlight=False, style="dim")
    out.print("\n[bold]Newest decisions, on paper[/bold]")
    for each in summary.pairs:
        out.print(f"  {each.pair}: {each.newest['outcome']}", highlight=False)
        out.print(f"    `marketloom why {each.newest['decision_id'][:8]}` explains it", style="dim")
    _print_orders(summary, out)
    out.print(f"\nequity {summary.equity}: " + ", ".join(f"{v} {k}" for k, v in summary.balances.items()))


def _print_orders(summary: DemoSummary, out: Console) -> None:
    if not summary.orders:
        out.print("\nNo order: no signal was clear enough, or risk refused it")
        return
    out.print(f"\n[bold]Orders: {len(summary.orders)}; the newest entry, explained[/bold]")
    entries = [each for each in summary.orders if not each.receipt["intent"]["reduces"]] or summary.orders
    out.print(entries[-1].text, markup=False, highlight=False, soft_wrap=True)


def _data_table(summary: DemoSummary) -> Table:
    table = Table(
        "pair", "candles", "missing", "gaps", "longest gap", "features", title="Candles and features"
    )
    for each in summary.pairs:
        numbers = (each.candles, each.missing, each.gaps, each.longest_gap, len(FEATURE_NAMES))
        table.add_row(str(each.pair), *map(str, numbers))
    return table


def _fold_table(summary: DemoSummary) -> Table:
    table = Table(*FOLD_COLUMNS, title="Out of sample, after costs")
    for row in _fold_rows(summary):
        table.add_row(*row)
    return table


def _fold_rows(summary: DemoSummary) -> Iterator[tuple[str, ...]]:
    for each in summary.pairs:
        for fold, speed in zip(each.folds, each.frames_per_second, strict=True):
            yield (
                str(each.pair),
                f"{fold.test_month:%Y-%m}",
                f"{fold.policy.total_return:+.2%}",
                f"{fold.buy_and_hold.total_return:+.2%}",
                f"{fold.cash.total_return:+.2%}",
                f"{fold.policy.annualised_sharpe:+.2f}",
                f"{fold.policy.maximum_drawdown:.2%}",
                str(fold.policy.trades),
                f"{speed:,.0f}",
            )


def write_report(summary: DemoSummary, home: Path) -> Path:
    """Write one HTML file without scripts or outside references; return its path."""
    folder = home / "reports"
    folder.mkdir(exist_ok=True)
    path = folder / f"demo-{summary.dataset}.html"
    path.write_text(_page(summary), encoding="utf-8")
    return path


def _page(summary: DemoSummary) -> str:
    data = [
        (str(each.pair), str(each.candles), str(each.missing), str(each.gaps), str(each.longest_gap))
        for each in summary.pairs
    ]
    balances = ", ".join(f"{amount} {asset}" for asset, amount in summary.balances.items())
    return html_page.page(
        "Marketloom demo",
        [
            html_page.paragraph(summary.label),
            html_page.heading("Candles"),
            html_page.table(("pair", "candles", "missing", "gaps", "longest gap"), data),
            html_page.heading("Policies out of sample, after costs"),
            html_page.table(FOLD_COLUMNS, list(_fold_rows(summary))),
            html_page.heading("Promotion gate"),
            *(part for each in summary.pairs for part in _gate(each)),
            html_page.heading("Newest decisions, on paper"),
            *(html_page.paragraph(f"{each.pair}: {each.newest['outcome']}") for each in summary.pairs),
            html_page.heading("Orders, newest first"),
            *(html_page.preformatted(each.text) for each in reversed(summary.orders)),
            *([] if summary.orders else [html_page.paragraph("none")]),
            html_page.paragraph(f"equity {summary.equity}; {balances}"),
        ],
    )


def _gate(pair: PairSummary) -> tuple[str, str]:
    champion = pair.champion or "none, the quant agent abstains"
    return html_page.paragraph(f"{pair.pair}: champion {champion}"), html_page.bullets(pair.gate)
