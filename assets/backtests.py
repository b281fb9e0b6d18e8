"""Back-tests of every pair and strategy over stored history, each with a report a person can open."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.backtest_page import write_report
from assets.current_inputs import inputs_are_current, inputs_metadata
from assets.features import features
from assets.launch_config import TimeframeName, UtcTime
from assets.market import OHLCV
from assets.metadata_numbers import readable
from assets.metadata_plots import line_plot
from assets.metadata_tables import shown_table
from assets.news import news_sentiment
from assets.partitions import PAIR_OF_STRATEGIES, PAIR_STRATEGIES, SAME_PAIR
from assets.policies import champion_policy, ppo_policy
from assets.versions import read_inputs
from ml.backtests import Backtester, BacktestRequest, parse_timeframe, parse_utc
from ml.strategies import Strategy
from trading.market import Pair
from trading.reports import COST_COLUMNS, METRIC_COLUMNS, TRADE_COLUMNS, BacktestReport


class BacktestConfig(dg.Config):
    """The part of the stored history to test on, and how closely stops are followed."""

    start: UtcTime = Field("", description="First UTC day or time. Empty: the first stored candle.")
    end: UtcTime = Field(
        "", description="UTC day or time that is left out, as all after it. Empty: the newest candle is in."
    )
    path: TimeframeName = Field(
        "",
        description="A finer timeframe that was imported, such as 5m: stops are followed along its candles. "
        "Empty: along the candles that are traded on.",
    )
    ignore_pause: bool = Field(
        False, description="Go on after the drawdown that pauses trading until a person resumes."
    )


@dg.asset(
    partitions_def=PAIR_STRATEGIES,
    group_name="learning",
    kinds={"numba"},
    owners=["team:research"],
    code_version="3",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[
        dg.AssetDep(OHLCV, partition_mapping=SAME_PAIR),
        dg.AssetDep(features, partition_mapping=SAME_PAIR),
        dg.AssetDep(ppo_policy, partition_mapping=SAME_PAIR),
        dg.AssetDep(champion_policy, partition_mapping=PAIR_OF_STRATEGIES),
        dg.AssetDep(news_sentiment, partition_mapping=dg.AllPartitionMapping()),
    ],
)
def backtest_report(
    context: dg.AssetExecutionContext,
    config: BacktestConfig,
    backtester: dg.ResourceParam[Backtester],
    report_folder: dg.ResourceParam[Path],
) -> dg.MaterializeResult[None]:
    """Back-test a strategy after costs, under the account's rules: equity, drawdown, months, metrics, every trade."""
    key = str(context.partition_key)
    inputs = read_inputs(context, context.asset_key, [key])[key]
    report = backtester.run(parse_request(key, config))
    path = write_report(report, report_folder)
    context.log.info(report.headline)
    return dg.MaterializeResult(metadata=_metadata(report, path) | inputs_metadata(inputs))


backtest_inputs_are_current = inputs_are_current(backtest_report)


def parse_request(partition_key: str, config: BacktestConfig) -> BacktestRequest:
    """Return the request of a partition key such as `BTC-USDT|technical` (dimensions in alphabetical order)."""
    pair, strategy = partition_key.split("|")
    return BacktestRequest(
        strategy=Strategy.parse(strategy),
        pair=Pair.parse(pair),
        start=parse_utc(config.start),
        end=parse_utc(config.end),
        path=parse_timeframe(config.path),
        ignore_pause=config.ignore_pause,
    )


def _metadata(report: BacktestReport, path: Path) -> dict[str, Any]:
    thin = report.curves.gather_every(max(1, report.curves.height // 400))
    times = thin["close_time"].to_list()
    equity = {report.strategy: thin["equity"].to_list(), "buy and hold": thin["holding"].to_list()}
    return {
        "report": dg.MetadataValue.path(str(path)),
        "dagster/row_count": report.candles,
        "trades": report.trades.height,
        **readable(report.headline_numbers()),
        "metrics": shown_table(METRIC_COLUMNS, report.metric_rows()),
        "costs": shown_table(COST_COLUMNS, report.cost_rows()),
        "equity": line_plot(f"{report.strategy} on {report.pair}", times, equity),
        "drawdown": line_plot("Drawdown", times, {"drawdown": (-thin["drawdown"]).to_list()}),
        "newest_trades": shown_table(TRADE_COLUMNS, list(report.trade_rows(20))),
    }


@dg.asset_check(
    asset=backtest_report,
    description="Trades add up to the equity, nothing was traded without a fee, every number is possible.",
)
def backtests_add_up(report_folder: dg.ResourceParam[Path]) -> dg.AssetCheckResult:
    wrong = {
        path.stem: faults
        for path in sorted(report_folder.glob("backtest-*.json"))
        if (faults := _faults(path))
    }
    return dg.AssetCheckResult(passed=not wrong, metadata={"faults": dg.MetadataValue.json(wrong)})


def _faults(path: Path) -> list[str]:
    facts = json.loads(path.read_text(encoding="utf-8"))
    rules = {
        "trades do not add up to the equity": abs(facts["unexplained"]) > 1e-9,
        "traded without fees": facts["trades"] > 0
        and any(facts["taker_fees"].values())
        and not facts["fees"] > 0,
        "lost more than everything": not facts["total_return"] >= -1,
        "drawdown outside 0..1": not 0 <= facts["maximum_drawdown"] <= 1,
        "a trade closed before it opened": facts["backward_trades"] > 0,
    }
    return [fault for fault, holds in rules.items() if holds]
