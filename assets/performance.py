"""Track records: how good every model's votes were on a day, counting only outcomes that are known."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

import dagster as dg
import numpy as np

from assets.features import features
from assets.market import OHLCV
from assets.metadata_tables import markdown_table
from assets.news import news_sentiment
from assets.partitions import DAYS, days
from assets.policies import ppo_policy
from ml.decision.decide import DecisionRules
from ml.decision.market_reader import MarketReader
from ml.decision.reader import InputReader
from ml.learning.registry import PolicyRegistry
from ml.scoring import (
    DayOutcomes,
    ModelScore,
    analyst_votes,
    day_outcomes,
    policy_votes,
    score_votes,
    technical_votes,
)
from trading.errors import NotStored
from trading.fills import Costs
from trading.market import Pair, month_of
from trading.ports import PerformanceStore, TableStore

ONE_DAY = timedelta(days=1)


@dg.asset(
    partitions_def=DAYS,
    group_name="learning",
    kinds={"postgres"},
    owners=["team:research"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[
        dg.AssetDep(OHLCV, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(features, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(ppo_policy, partition_mapping=dg.AllPartitionMapping()),
        news_sentiment,
    ],
)
def model_performance(
    context: dg.AssetExecutionContext,
    costs: dg.ResourceParam[Mapping[Pair, Costs]],
    rules: dg.ResourceParam[DecisionRules],
    input_reader: dg.ResourceParam[InputReader],
    feature_store: dg.ResourceParam[TableStore],
    policies: dg.ResourceParam[PolicyRegistry],
    performance_store: dg.ResourceParam[PerformanceStore],
) -> None:
    """Score every model per pair and day: votes, hit rate, return and cost, in shadow mode (no order is placed)."""
    scorer = ShadowScorer(input_reader.market, feature_store, policies, rules)
    for key in sorted(context.partition_keys):
        start, end = days([key])
        rows = [
            {"pair": str(pair), "mode": "shadow", **asdict(each)}
            for pair in input_reader.market.universe.pairs
            for each in scorer.scores(pair, start, end, costs[pair])
        ]
        performance_store.replace_day(start.date(), rows)
        context.add_asset_metadata(_metadata(rows), partition_key=key)
    context.log.info(f"scored {len(context.partition_keys)} days")


class ShadowScorer:
    """Scores the votes of every model on the candles of a past day; no order is placed."""

    def __init__(
        self, market: MarketReader, feature_store: TableStore, policies: PolicyRegistry, rules: DecisionRules
    ) -> None:
        self._market, self._features, self._policies, self._rules = (
            market,
            feature_store,
            policies,
            rules,
        )

    def scores(self, pair: Pair, start: datetime, end: datetime, costs: Costs) -> Iterator[ModelScore]:
        """Yield one score per model; none when no candle of the day has a known outcome."""
        day = self._day_of_outcomes(pair, start, end)
        if day.rows.is_empty():
            return
        yield score_votes("technical", technical_votes(day, self._rules.signals), day.returns, costs)
        yield score_votes(
            "analyst",
            analyst_votes(day, lambda at: self._market.sentiment(pair, at), self._rules.analyst),
            day.returns,
            costs,
        )
        yield score_votes("buy_and_hold", np.ones_like(day.returns), day.returns, costs)
        try:
            policy = self._policies.bundle(pair, month_of(start))
        except NotStored:
            return  # no fold tests on this month: a policy is only scored where it has not learned
        yield score_votes(f"ppo {policy.policy_id}", policy_votes(day, policy), day.returns, costs)

    def _day_of_outcomes(self, pair: Pair, start: datetime, end: datetime) -> DayOutcomes:
        candles = self._market.candles.between(pair, start - ONE_DAY, end + ONE_DAY)
        return day_outcomes(candles, self._features.between(pair, start - ONE_DAY, end), start, end)


def _metadata(rows: list[dict[str, object]]) -> dict[str, object]:
    columns = ("model", "pair", "votes", "hit_rate", "pnl")
    return {
        "dagster/row_count": len(rows),
        "scores": dg.MetadataValue.md(
            markdown_table(columns, [[_cell(row[name]) for name in columns] for row in rows])
        ),
    }


def _cell(value: object) -> str:
    return f"{value:+.4f}" if isinstance(value, float) else "-" if value is None else str(value)
