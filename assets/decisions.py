"""The live executor: one materialisation is one decision, one receipt, and at most one order."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.features import features
from assets.market import OHLCV, instruments
from assets.news import news_sentiment
from assets.partitions import PAIR_OF_MONTHS, PAIRS
from assets.policies import champion_policy
from ml.decision.decide import DecisionRules
from ml.decision.execute import ExecutedDecision, execute_decision
from ml.decision.explanation import explain
from ml.decision.reader import InputReader
from trading.errors import InvalidValue
from trading.market import Pair
from trading.ports import Journal, Venue


class DecisionConfig(dg.Config):
    """The clock, as a UTC time such as 2020-02-21T23:00:00; empty: the close of the newest stored candle."""

    as_of: str = ""


@dg.asset(
    partitions_def=PAIRS,
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="2",
    pool="account",  # limits are the whole account's: two decisions at once would both spend what is free
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
    venue: dg.ResourceParam[Venue],
) -> dg.MaterializeResult[None]:
    """Decide on the newest candle: candles, champion and sentiment in; consensus, risk, receipt and order out."""
    pair = Pair.parse(context.partition_key)
    done = execute_decision(
        pair, parse_clock(config.as_of), input_reader, rules, journal=journal, venue=venue
    )
    context.log.info(f"{pair}: {done.receipt['outcome']}{' (decided before)' if done.repeated else ''}")
    return dg.MaterializeResult(metadata=_metadata(done))


def parse_clock(text: str) -> datetime | None:
    """Parse the configured time as UTC; None when it is left to the newest candle."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"as_of is {text!r}: write a UTC time such as 2020-02-21T23:00:00") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _metadata(done: ExecutedDecision) -> dict[str, Any]:
    return {
        "decision_id": done.receipt["decision_id"],
        "action": done.receipt["action"],
        "outcome": done.receipt["outcome"],
        "order": done.order.status.value if done.order else "none",
        "repeated": done.repeated,
        "why": dg.MetadataValue.md(f"```\n{explain(done.receipt, done.order)}\n```"),
        "receipt": dg.MetadataValue.json(done.receipt),
    }
