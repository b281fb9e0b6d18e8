"""The demo's report: one HTML file that opens with charts; receipts are folded."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from assets import html_page
from assets.price_chart import Mark, price_chart
from ml.decision.explanation import explain
from orchestration.commands.demo_summary import DemoSummary, PairSummary, PlacedOrder
from orchestration.commands.demo_words import (
    FOLD_COLUMNS,
    ORDER_COLUMNS,
    champion_text,
    count,
    decisions_text,
    fold_rows,
    order_row,
    order_text,
    order_title,
    vote_rows,
)
from trading.atomic_files import replace_file

BACKTEST_COLUMNS = (
    "back-test",
    "return",
    "without costs",
    "at twice the costs",
    "buy and hold",
    "Sharpe",
    "drawdown",
    "trades",
)
CHART_NOTE = (
    "Grey: before the first decision. An order fills at the first price after the candle it was decided on."
)
VOTE_COLUMNS = ("pair", "agent", "long", "short", "hold", "close", "abstained")
CANDLE_COLUMNS = ("pair", "candles", "missing", "gaps", "longest gap")


def write_page(summary: DemoSummary, folder: Path) -> Path:
    """Write one HTML file without scripts that loads nothing from outside; return its path."""
    path = folder / f"demo-{summary.dataset}.html"
    replace_file(path, demo_page(summary).encode())
    return path


def demo_page(summary: DemoSummary) -> str:
    return html_page.page(
        "Marketloom demo",
        [
            html_page.paragraph(summary.label),
            _figures(summary),
            _links(summary),
            _equity_chart(summary),
            *(_pair_chart(summary, each) for each in summary.decided),
            html_page.paragraph(CHART_NOTE, note=True),
            html_page.heading(f"Orders ({len(summary.orders)})"),
            _orders(summary),
            html_page.heading(f"Decisions ({sum(len(each.decisions) for each in summary.pairs)})"),
            html_page.paragraph(
                "How often each agent voted for what; who abstains has no weight.", note=True
            ),
            html_page.table(VOTE_COLUMNS, [row for each in summary.pairs for row in vote_rows(each)]),
            *(_newest_decision(each) for each in summary.decided),
            html_page.heading("Back-tests of all that is stored, after costs"),
            *_backtests(summary),
            html_page.heading("Policies on months they have never seen, after costs"),
            html_page.table(FOLD_COLUMNS, list(fold_rows(summary))),
            *(_gate(each) for each in summary.pairs),
            html_page.heading("Candles"),
            html_page.table(CANDLE_COLUMNS, [_candle_row(each) for each in summary.pairs]),
        ],
    )


def _figures(summary: DemoSummary) -> str:
    curve = summary.curve
    gain = curve.account[-1] - curve.account[0]
    return html_page.figures(
        [
            ("equity now", f"{curve.account[-1]:,.2f} {summary.quote}"),
            (f"since {curve.times[0]:%Y-%m-%d %H:%M}", f"{gain:+,.2f} {summary.quote}"),
            ("decisions", f"{sum(len(each.decisions) for each in summary.pairs)}"),
            ("orders", f"{len(summary.orders)}"),
            (
                "champions",
                f"{sum(each.champion is not None for each in summary.pairs)} of {len(summary.pairs)} pairs",
            ),
        ]
    )


def _links(summary: DemoSummary) -> str:
    pages = [
        (f"{facts['strategy']} on {each.pair}", facts["page"])
        for each in summary.pairs
        for facts in each.backtests
    ]
    interface = html_page.links(
        [(f"Dagster UI at {summary.interface}, while `make dev` runs", summary.interface)]
    )
    return "\n".join([interface, html_page.links(pages, "Back-tests: ")])


def _equity_chart(summary: DemoSummary) -> str:
    curve = summary.curve
    opening = [curve.account[0]] * len(curve.times)
    lines = {
        "the account": curve.account,
        "its opening balances, untouched": curve.untouched,
        f"all in {summary.quote}": opening,
    }
    return html_page.chart(f"Equity on paper, {summary.quote}", curve.times, lines, height=2.6)


def _pair_chart(summary: DemoSummary, each: PairSummary) -> str:
    since = datetime.fromisoformat(each.decisions[0]["decided_at"])
    marks = [
        mark for order in summary.orders if order.pair == str(each.pair) for mark in _mark(summary, order)
    ]
    words = f"{each.pair}: {decisions_text(each)}, {count(len(marks), 'entry', 'entries')}"
    return price_chart(words, each.candles, marks, since=since)


def _mark(summary: DemoSummary, order: PlacedOrder) -> Iterator[Mark]:
    if not (order.is_entry and order.fills):
        return
    intent, fill = order.receipt["intent"], order.fills[0]
    closing = order.closing
    yield Mark(
        entered_at=fill.filled_at,
        entry_price=float(fill.price),
        is_long=fill.side.sign > 0,
        stop=float(intent["stop_loss"]) if intent["stop_loss"] else None,
        target=float(intent["take_profit"]) if intent["take_profit"] else None,
        exited_at=closing.filled_at if closing else summary.curve.times[-1],
        exit_price=float(closing.price) if closing else None,
    )


def _orders(summary: DemoSummary) -> str:
    if not summary.orders:
        return html_page.paragraph("none: no signal was clear enough, or risk refused it")
    newest_first = summary.orders[::-1]
    table = html_page.table(
        ORDER_COLUMNS, [order_row(each, summary.orders) for each in newest_first], ends_in_words=True
    )
    receipts = [
        html_page.folded(f"Why: {order_title(each)}", [html_page.preformatted(order_text(each))])
        for each in newest_first
    ]
    return "\n".join([table, *receipts])


def _newest_decision(each: PairSummary) -> str:
    title = f"Why: {each.pair}, {each.newest['decided_at'][:16].replace('T', ' ')}: {each.newest['outcome']}"
    return html_page.folded(title, [html_page.preformatted(explain(each.newest, None))])


def _backtests(summary: DemoSummary) -> Sequence[str]:
    rows = [
        (
            f"{facts['strategy']} on {each.pair}",
            f"{facts['total_return']:+.1%}",
            f"{facts['at_costs']['0x']['total_return']:+.1%}",
            f"{facts['at_costs']['2x']['total_return']:+.1%}",
            f"{facts['buy_and_hold']['total_return']:+.1%}",
            f"{facts['annualised_sharpe'] or 0:+.2f}",
            f"{facts['maximum_drawdown']:.1%}",
            str(facts["trades"]),
        )
        for each in summary.pairs
        for facts in each.backtests
    ]
    return [html_page.table(BACKTEST_COLUMNS, rows)]


def _gate(each: PairSummary) -> str:
    return html_page.folded(
        f"Promotion gate, {each.pair}: {champion_text(each)}", [html_page.bullets(each.gate)]
    )


def _candle_row(each: PairSummary) -> tuple[str, ...]:
    counted = each.counted
    numbers = (counted.rows, counted.missing, counted.gaps, counted.longest_gap)
    return (str(each.pair), *(f"{number:,}" for number in numbers))
