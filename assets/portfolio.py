"""Portfolio snapshots: equity, allocation, profit and drawdown of the account, day by day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg

from assets.decisions import decision
from assets.market import OHLCV
from assets.metadata_plots import line_plot
from assets.metadata_tables import markdown_table
from assets.partitions import DAYS, MONTH_OF_DAY, days
from ml.decision.account_reader import AccountReader
from ml.decision.reader import InputReader
from trading.account import portfolio_of, with_results
from trading.orders import Fill
from trading.portfolio import ClosedTrade, Holding, closed_trades, drawdown
from trading.portfolio.exact import trim_zeros
from trading.ports import Journal

RESOLUTION = timedelta(microseconds=1)  # times are counted in microseconds: the day's last moment
FIGURES = ("equity", "drawdown", "realised_pnl", "unrealised_pnl", "fees", "net_pnl")
SHOWN_TRADES = 20  # newest closed trades in the metadata; the journal has them all


@dg.asset(
    partitions_def=DAYS,
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="2",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[
        dg.AssetDep(decision, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(OHLCV, partition_mapping=MONTH_OF_DAY),
    ],
)
def portfolio_snapshots(
    context: dg.AssetExecutionContext,
    input_reader: dg.ResourceParam[InputReader],
    journal: dg.ResourceParam[Journal],
) -> dg.MaterializeResult[None]:
    """Value the balances at the last closes known by the end of the day, or by the newest candle while the day runs.

    Profits and fees are sums since the account opened, in its quote asset at those prices.
    """
    start, end = days([context.partition_key])
    account, market = input_reader.account, input_reader.market
    newest = max(market.newest_close_time(pair) for pair in market.universe.pairs)
    at = max(start, min(end - RESOLUTION, newest))
    name, prices = account.name, market.prices(at)
    snapshot, fills = _consistent_snapshot(account, journal, at)
    snapshot = with_results(snapshot, fills, prices)
    journal.save_snapshot(name, at.date(), snapshot)
    context.log.info(f"{name}: equity {snapshot['equity']:.2f} {account.quote} on {at:%Y-%m-%d}")
    holdings = portfolio_of(snapshot["balances"], fills).holdings
    return dg.MaterializeResult(
        metadata={
            **{figure: float(snapshot[figure]) for figure in FIGURES},
            "allocation": dg.MetadataValue.json(snapshot["allocation"]),
            "closed_trades": snapshot["closed_trades"],
            "winning_trades": snapshot["winning_trades"],
            "open": dg.MetadataValue.md(holdings_table(list(holdings.values()))),
            "last_closed": dg.MetadataValue.md(trades_table(closed_trades(fills, prices)[-SHOWN_TRADES:])),
            **_daily_plots(name, journal.snapshots(name)),
        }
    )


def _consistent_snapshot(
    account: AccountReader, journal: Journal, at: datetime
) -> tuple[dict[str, Any], list[Fill]]:
    """Read the account and its fills up to `at`; when an order fills between the two reads, read both again."""
    while True:
        fills = journal.fills(account.name)
        snapshot = account.snapshot(at)
        if journal.fills(account.name) == fills:
            return snapshot, [fill for fill in fills if fill.filled_at <= at]


def _daily_plots(name: str, history: Sequence[dict[str, Any]]) -> dict[str, dg.MarkdownMetadataValue]:
    """Snapshots written before results were kept have equity and peak all the same."""
    time = [row["day"] for row in history]
    drawdowns = [-float(drawdown(row["equity"], Decimal(row["peak_equity"]))) for row in history]
    return {
        "equity_by_day": line_plot(
            f"Equity of {name}", time, {"equity": [float(row["equity"]) for row in history]}
        ),
        "drawdown_by_day": line_plot(f"Drawdown of {name}", time, {"below the peak": drawdowns}),
    }


def holdings_table(holdings: Sequence[Holding]) -> str:
    return _table(
        ("pair", "quantity", "average cost", "open since"),
        [
            (
                str(each.pair),
                f"{trim_zeros(each.quantity):f}",
                f"{float(each.entry_price):.8g}",
                f"{each.opened_at:%Y-%m-%d %H:%M}",
            )
            for each in holdings
        ],
    )


def trades_table(trades: Sequence[ClosedTrade]) -> str:
    """Render closed trades as a table, newest first."""
    return _table(
        ("closed", "pair", "quantity", "entry", "exit", "fees", "profit after fees"),
        [
            (
                f"{each.closed_at:%Y-%m-%d %H:%M}",
                str(each.pair),
                f"{trim_zeros(each.quantity):f}",
                f"{float(each.entry_price):.8g}",
                f"{float(each.exit_price):.8g}",
                f"{each.fees:.8f} {each.pair.quote}",
                f"{each.pnl:+.8f} {each.pair.quote}",
            )
            for each in reversed(trades)
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(head, rows) if rows else "none"
