"""Portfolio snapshots: equity, allocation, profit and drawdown of the account, day by day."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import dagster as dg

from assets.decisions import decision
from assets.market import OHLCV
from assets.metadata_numbers import readable
from assets.metadata_plots import line_plot
from assets.metadata_tables import shown_table
from assets.partitions import DAYS, MONTH_OF_DAY, days
from ml.decision.reader import InputReader
from trading.account import figures, portfolio_of
from trading.portfolio import ClosedTrade, Holding, closed_trades, drawdown
from trading.portfolio.exact import trim_zeros
from trading.ports import Journal

RESOLUTION = timedelta(microseconds=1)  # times are counted in microseconds: the day's last moment
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
    newest = max(market.newest_known_at(pair) for pair in market.universe.pairs)
    at = max(start, min(end - RESOLUTION, newest))
    name, prices = account.name, account.valuation(at).prices
    snapshot, fills = account.results(at)
    journal.save_snapshot(name, at, snapshot)
    context.log.info(f"{name}: equity {snapshot['equity']:.2f} {account.quote} on {at:%Y-%m-%d}")
    holdings = portfolio_of(snapshot["balances"], fills).holdings
    return dg.MaterializeResult(
        metadata={
            "at": dg.MetadataValue.timestamp(at),
            **readable(figures(snapshot)),
            "allocation": dg.MetadataValue.json(readable(snapshot["allocation"])),
            "left_out": dg.MetadataValue.json(snapshot["left_out"]),
            "open": holdings_table(list(holdings.values())),
            "last_closed": trades_table(closed_trades(fills, prices)[-SHOWN_TRADES:]),
            **_daily_plots(name, journal.snapshots(name)),
        }
    )


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


def holdings_table(holdings: Sequence[Holding]) -> dg.TableMetadataValue:
    return shown_table(
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


def trades_table(trades: Sequence[ClosedTrade]) -> dg.TableMetadataValue:
    """Render closed trades as a table, newest first."""
    return shown_table(
        ("closed", "pair", "quantity", "entry", "exit", "fees", "profit after fees"),
        [
            (
                f"{each.closed_at:%Y-%m-%d %H:%M}",
                str(each.pair),
                f"{trim_zeros(each.quantity):f}",
                f"{float(each.entry_price):.8g}",
                f"{float(each.exit_price):.8g}",
                f"{readable(float(each.fees))} {each.pair.quote}",
                f"{readable(float(each.pnl)):+} {each.pair.quote}",
            )
            for each in reversed(trades)
        ],
    )
