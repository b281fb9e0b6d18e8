"""The live executor: one materialisation is one decision, one receipt, and at most one order."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
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
from ml.decision.clock import HISTORY, ClockReading, chosen_time
from ml.decision.decide import DecisionRules
from ml.decision.execute import ExecutedDecision
from ml.decision.explanation import explain
from ml.decision.figures import decision_figures
from ml.decision.reader import InputReader
from ml.decision.shadow import challenge
from ml.decision.side_by_side import PairsOfOneRun
from trading.account import figures
from trading.errors import InvalidValue, MarketloomError
from trading.execution import OrderExecutor
from trading.market import Pair
from trading.ports import FailureLog, FailureNote, Journal

MAX_REASON = 300  # characters of a failure that are noted; the run has all of it
PORTFOLIO_SNAPSHOTS = dg.AssetKey("portfolio_snapshots")  # downstream: it cannot be imported here


class DecisionConfig(dg.Config):
    """The moment to decide at, and whether what is decided is carried out."""

    as_of: UtcTime = Field(
        "",
        description="The decision's clock as a UTC time, such as 2020-02-21T23:00; nothing later is known to it. "
        "Empty: the venue's time, on history the newest stored candle's.",
    )
    shadow: bool | None = Field(
        None,
        description="true: the decision is recorded and nothing else; no order, halt or other change of the account. "
        "Without: true for a chosen `as_of` where candles go on closing, and for a challenger; on history false.",
    )
    challenger: str = Field(
        "",
        description="The id of a policy of the pair that votes in the champion's place, always in shadow mode.",
    )


@dg.asset(
    partitions_def=PAIRS,
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="2",
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
    failure_notes: dg.ResourceParam[FailureLog],
) -> Iterator[Any]:
    """Decide on the newest candle: candles, champion and sentiment in; consensus, risk, receipt and order out."""
    newest = input_reader.read_clock()
    clock = _choose_clock(config.as_of, newest)
    shadow = _is_shadow(config, clock, newest)
    run = PairsOfOneRun(clock, input_reader, rules, journal, executor)
    decide = partial(run.decide_in_shadow, challenger=config.challenger) if shadow else run.decide
    decided: dict[str, PartitionReport] = {}
    failed: dict[str, Exception] = {}
    executed: list[ExecutedDecision] = []
    keys = context.partition_keys
    with ThreadPoolExecutor(1) as beside:  # Dagster's log is asked while the market is
        inputs = beside.submit(read_inputs, context, context.asset_key, keys)
        for pair, done in decide(list(map(Pair.parse, keys))):
            if isinstance(done, Exception):
                failed[pair.key] = done
                continue
            metadata = _metadata(done) | inputs_metadata(inputs.result()[pair.key])
            decided[pair.key] = PartitionReport(dg.DataVersion(done.receipt["decision_id"]), metadata)
            context.log.info(
                f"{pair}: {done.receipt['outcome']}{' (decided before)' if done.repeated else ''}"
            )
            executed.append(done)
    yield from partition_events(context, decided)
    for done in executed:
        _observe_portfolio(context, done)
    if failed:
        _note(context, failed, failure_notes)
    if input_reader.challenges and not shadow:
        _challenge(context, executed, input_reader, journal)
    if failed:
        _fail(context, failed)


decision_inputs_are_current = inputs_are_current(decision)


def _is_shadow(config: DecisionConfig, clock: ClockReading, newest: ClockReading) -> bool:
    """Return whether nothing is carried out; InvalidValue where the past, or a challenger's decision, would be."""
    needed = bool(config.challenger) or (clock.chosen and newest.source != HISTORY)
    if needed and config.shadow is False:
        raise InvalidValue(
            "shadow is false: what was decided for a past time on an account that trades now, or with a challenger, is "
            "never carried out; leave shadow empty"
        )
    return needed or bool(config.shadow)


def _choose_clock(text: str, clock: ClockReading) -> ClockReading:
    """Return the clock, which is read once for the run, or the chosen time.

    InvalidValue for one to come: such a decision would use up the newest candle's.
    """
    as_of = parse_utc(text)
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


def _challenge(
    context: dg.AssetExecutionContext, executed: list[ExecutedDecision], reader: InputReader, journal: Journal
) -> None:
    """Let the challengers decide beside what was decided and carried out; whatever fails there fails no decision."""
    for done in executed:
        try:
            receipt = challenge(done.receipt, reader.policies, journal)
        except Exception as error:
            context.log.warning(
                f"{done.receipt['pair']}: no decision of the challenger: {type(error).__name__}: {error}"
            )
            continue
        if receipt is not None:
            context.log.info(
                f"{receipt['pair']}: the challenger {receipt['challenger']} in shadow mode: {receipt['outcome']}"
            )


def _note(context: dg.AssetExecutionContext, failed: Mapping[str, Exception], notes: FailureLog) -> None:
    """Note the failure at once: the sensor that notes failed runs may be minutes behind, or not run."""
    note = FailureNote(
        run_id=context.run.run_id,
        job=context.job_name,
        partition=", ".join(failed),
        reason="; ".join(f"{type(error).__name__}: {error}" for error in failed.values())[:MAX_REASON],
        at=datetime.now(UTC),
    )
    try:
        notes.add(note)
    except (
        MarketloomError,
        OSError,
    ) as error:  # the sensor notes it later; the failure itself is what counts
        context.log.warning(f"the failure could not be noted: {error}")


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
            "shadow": bool(receipt.get("shadow")),
            **decision_figures(receipt),
            "decision_id": receipt["decision_id"],
            "why": dg.MetadataValue.md(f"```\n{explain(receipt, done.order)}\n```"),
            "receipt": dg.MetadataValue.json(receipt),
        }
    )
    return shown
