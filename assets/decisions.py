"""The live executor: one materialisation is one decision, one receipt, and at most one order."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

import dagster as dg
from pydantic import Field

from assets.current_inputs import inputs_are_current, inputs_metadata
from assets.features import features
from assets.launch_config import UtcTime
from assets.market import OHLCV, instruments
from assets.metadata_numbers import readable
from assets.news import news_sentiment
from assets.partitions import PAIR_OF_MONTHS, PAIRS
from assets.policies import champion_policy
from assets.versions import PartitionReport, partition_events, read_inputs
from ml.backtests import parse_utc
from ml.decision.clock import ClockReading, chosen_time
from ml.decision.decide import DecisionRules
from ml.decision.execute import ExecutedDecision, execute_decision
from ml.decision.explanation import explain
from ml.decision.figures import decision_figures
from ml.decision.reader import InputReader
from trading.account import figures
from trading.errors import InvalidValue
from trading.execution import OrderExecutor
from trading.market import Pair
from trading.ports import Journal

PORTFOLIO_SNAPSHOTS = dg.AssetKey("portfolio_snapshots")  # downstream: it cannot be imported here


class DecisionConfig(dg.Config):
    """The moment to decide at."""

    as_of: UtcTime = Field(
        "",
        description="The decision's clock as a UTC time, such as 2020-02-21T23:00; nothing later is known to it. "
        "Empty: the venue's time, on history the newest stored candle's.",
    )


@dg.asset(
    partitions_def=PAIRS,
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="2",
    pool="account",  # a courtesy: the account's row lock keeps its limits, whoever decides
    backfill_policy=dg.BackfillPolicy.single_run(),  # pairs whose candles closed together cost one process start
    deps=[
        instruments,
        dg.AssetDep(OHLCV, partition_mapping=PAIR_OF_MONTHS),
        dg.AssetDep(features, partition_mapping=PAIR_OF_MONTHS),
        dg.AssetDep(news_sentiment, partition_mapping=dg.LastPartitionMapping()),
        champion_policy,
    ],
)
def decision(
    context: dg.AssetExecutionContext,
    config: DecisionConfig,
    input_reader: dg.ResourceParam[InputReader],
    rules: dg.ResourceParam[DecisionRules],
    journal: dg.ResourceParam[Journal],
    executor: dg.ResourceParam[OrderExecutor],
) -> Iterator[Any]:
    """Decide on the newest candle: candles, champion and sentiment in; consensus, risk, receipt and order out."""
    clock = _read_clock(config.as_of, input_reader)
    inputs = read_inputs(context, context.asset_key, context.partition_keys)
    decided: dict[str, PartitionReport] = {}
    failed: dict[str, Exception] = {}
    executed: list[ExecutedDecision] = []
    for key in context.partition_keys:
        pair = Pair.parse(key)
        try:
            done = execute_decision(pair, clock, input_reader, rules, journal=journal, executor=executor)
        except Exception as error:  # another pair's position may be waiting for its exit
            failed[key] = error
            continue
        metadata = _metadata(done) | inputs_metadata(inputs[key])
        decided[key] = PartitionReport(dg.DataVersion(done.receipt["decision_id"]), metadata)
        context.log.info(f"{pair}: {done.receipt['outcome']}{' (decided before)' if done.repeated else ''}")
        executed.append(done)
    yield from partition_events(context, decided)
    for done in executed:
        _observe_portfolio(context, done)
    if failed:
        _fail(context, failed)


decision_inputs_are_current = inputs_are_current(decision)


def _read_clock(text: str, reader: InputReader) -> ClockReading:
    """Read the clock, once for the run, or take the chosen time.

    InvalidValue for one to come: such a decision would use up the newest candle's.
    """
    clock, as_of = reader.read_clock(), parse_utc(text)
    if as_of is None:
        return clock
    if as_of > clock.at:
        raise InvalidValue(
            f"as_of is {as_of:%Y-%m-%d %H:%M} UTC, the market's time is {clock.at:%Y-%m-%d %H:%M}: nothing is known of "
            "what comes; choose an earlier time, or leave it empty"
        )
    return chosen_time(as_of)


def _observe_portfolio(context: dg.AssetExecutionContext, done: ExecutedDecision) -> None:
    """Show the portfolio after the decision in the plots of `portfolio_snapshots`."""
    if done.snapshot_problem:
        context.log.warning(f"no portfolio snapshot after this decision: {done.snapshot_problem}")
    if done.snapshot is not None:
        context.log_event(
            dg.AssetObservation(
                PORTFOLIO_SNAPSHOTS,
                metadata={
                    "at": dg.MetadataValue.timestamp(done.snapshot["at"]),
                    **readable(figures(done.snapshot)),
                },
                partition=f"{done.snapshot['day']}",
            )
        )


def _fail(context: dg.AssetExecutionContext, failed: Mapping[str, Exception]) -> NoReturn:
    """Fail for the pairs without a decision; those that were decided on are reported already."""
    if len(failed) == len(context.partition_keys) == 1:
        raise next(iter(failed.values()))
    reasons = "; ".join(f"{key}: {type(error).__name__}: {error}" for key, error in failed.items())
    raise dg.Failure(
        f"{len(failed)} of {len(context.partition_keys)} pairs have no decision ({reasons})",
        allow_retries=False,
    ) from next(iter(failed.values()))


def _metadata(done: ExecutedDecision) -> dict[str, Any]:
    receipt = done.receipt
    shown: dict[str, Any] = readable(
        {
            "decided_at": dg.MetadataValue.timestamp(datetime.fromisoformat(receipt["decided_at"])),
            "action": receipt["action"],
            "outcome": receipt["outcome"],
            "order": done.order.status.value if done.order else "none",
            "clock": receipt["clock"]["source"],
            "problems": "; ".join(done.execution.problems) or "none",
            "repeated": done.repeated,
            **decision_figures(receipt),
            "decision_id": receipt["decision_id"],
            "why": dg.MetadataValue.md(f"```\n{explain(receipt, done.order)}\n```"),
            "receipt": dg.MetadataValue.json(receipt),
        }
    )
    return shown
