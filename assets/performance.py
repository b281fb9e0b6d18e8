"""Track records: how good every model's votes were on a day, counting only outcomes that are known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from statistics import fmean
from typing import Any

import dagster as dg
import numpy as np

from assets.features import features
from assets.market import OHLCV
from assets.metadata_numbers import readable
from assets.metadata_tables import shown_table
from assets.news import news_sentiment
from assets.partitions import DAYS, MONTH_OF_DAY, days
from assets.policies import ppo_policy
from assets.versions import PartitionReport, input_versions, partition_events
from ml.decision.decide import DecisionRules
from ml.decision.market_reader import MarketReader
from ml.decision.reader import InputReader
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from ml.scoring import (
    ModelScore,
    Outcomes,
    Votes,
    analyst_votes,
    known_outcomes,
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
        dg.AssetDep(OHLCV, partition_mapping=MONTH_OF_DAY),
        dg.AssetDep(features, partition_mapping=MONTH_OF_DAY),
        dg.AssetDep(ppo_policy, partition_mapping=MONTH_OF_DAY),
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
) -> Iterator[Any]:
    """Score every model per pair and day: votes, hit rate, return and cost, in shadow mode (no order is placed)."""
    scorer = ShadowScorer(input_reader.market, feature_store, policies, rules, costs)
    versions = input_versions(context, context.partition_keys, rules, sorted(costs.items()))
    reports = {}
    for month, keys in groupby(sorted(context.partition_keys), key=lambda key: key[:7]):
        scores = scorer.score(list(keys))
        for day, rows in scores.items():
            performance_store.replace_day(date.fromisoformat(day), rows)
            reports[day] = PartitionReport(versions[day], _metadata(rows))
        context.log.info(f"scored {len(scores)} days of {month}")
    yield from partition_events(context, reports)


@dataclass(frozen=True, slots=True)
class ShadowScorer:
    """Scores the votes of every model on the candles of past days; no order is placed."""

    market: MarketReader
    features: TableStore
    policies: PolicyRegistry
    rules: DecisionRules
    costs: Mapping[Pair, Costs]

    def score(self, keys: Sequence[str]) -> dict[str, list[dict[str, object]]]:
        """Score days of one month: for each a row per pair and model, none where no outcome is known.

        Candles, features and news are read once per pair, and every model votes on the whole table.
        """
        rows: dict[str, list[dict[str, object]]] = {key: [] for key in keys}
        for pair in self.market.universe.pairs:
            start, end = days(keys)
            outcomes = self._outcomes(pair, start, end)
            if outcomes.rows.is_empty():
                continue
            votes = self._votes(pair, outcomes)
            policy = self._policy(pair, month_of(start))
            for key in keys:
                inside = outcomes.within(*days([key]))
                rows[key] += [
                    {"pair": str(pair), "mode": "shadow", **asdict(score)}
                    for score in _scores(outcomes, votes, policy, inside, costs=self.costs[pair])
                ]
        return rows

    def _outcomes(self, pair: Pair, start: datetime, end: datetime) -> Outcomes:
        candles = self.market.candles.between(pair, start - ONE_DAY, end + ONE_DAY)
        earliest = start - self.market.universe.timeframe.duration  # the candle that closes at midnight
        return known_outcomes(candles, self.features.between(pair, earliest, end), start, end)

    def _votes(self, pair: Pair, outcomes: Outcomes) -> dict[str, Votes]:
        sentiments = self.market.sentiments(pair, outcomes.rows["close_time"])
        return {
            "technical": technical_votes(outcomes, self.rules.signals),
            "analyst": analyst_votes(sentiments, self.rules.analyst),
            "buy_and_hold": np.ones_like(outcomes.returns),
        }

    def _policy(self, pair: Pair, month: date) -> Policy | None:
        """Return the policy tested in that month: a policy is only scored where it has not learned."""
        try:
            return self.policies.bundle(pair, month)
        except NotStored:
            return None


def _scores(
    outcomes: Outcomes, votes: Mapping[str, Votes], policy: Policy | None, inside: slice, costs: Costs
) -> Iterator[ModelScore]:
    """Score one day; a policy begins it flat."""
    returns = outcomes.returns[inside]
    if not len(returns):
        return
    for model, each in votes.items():
        yield score_votes(model, each[inside], returns, costs)
    if policy is not None:
        yield score_votes(
            f"ppo {policy.policy_id}", policy_votes(outcomes.rows[inside], policy), returns, costs
        )


def _metadata(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = ("model", "pair", "votes", "hit_rate", "pnl")
    return {
        "dagster/row_count": len(rows),
        **_returns_by_agent(rows),
        "scores": shown_table(columns, [[_cell(row[name]) for name in columns] for row in rows]),
    }


def _returns_by_agent(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean pnl of all pairs for each model; policies are `ppo`, so that a plot goes on with the next one."""
    by_agent: dict[str, list[float]] = {}
    for row in rows:
        by_agent.setdefault(row["model"].partition(" ")[0], []).append(row["pnl"])
    return {f"{agent}_pnl": readable(fmean(values)) for agent, values in sorted(by_agent.items())}


def _cell(value: object) -> str:
    return f"{value:+.4f}" if isinstance(value, float) else "-" if value is None else str(value)
