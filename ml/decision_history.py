"""What would have been decided after each stored candle: the agents, their vote and the rules of live decisions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.agents.history import (
    LONG,
    SHORT,
    AgentVotes,
    analyst_history,
    decided,
    quant_history,
    technical_history,
)
from ml.agents.opinions import Action
from ml.agents.panel import ANALYST, QUANT, TECHNICAL
from ml.agents.rules import DecisionRules
from ml.agents.technical import MODEL as TECHNICAL_MODEL
from ml.agents.vote_weights import ANY_MODEL, Run, weights_of_rows
from ml.agents.votes import ABSTAINS
from ml.learning.policy import Policy
from trading.backtest import LEAVE_LONG, LEAVE_SHORT, Plan
from trading.indicators.companions import REFERENCE_ASSET
from trading.market import Pair, Timeframe, month_start, next_month
from trading.ports import TableStore
from trading.signals import protective_distances, signal_table
from trading.strategies import Entries, vote_plan

Flags = npt.NDArray[np.bool_]


class KnownThen(Protocol):
    """What the database knows of the past beside candles and features."""

    def sentiments(self, pair: Pair, times: pl.Series) -> pl.DataFrame:
        """Return SENTIMENT_AT_SCHEMA: the tone of the pair's news at each of `times`, ascending."""

    def champions(self, pair: Pair, times: pl.Series) -> list[tuple[slice, Policy | None]]:
        """Return the champion at each of `times`, ascending, as runs with the same one."""

    def weights(self, times: pl.Series) -> list[Run]:
        """Return the weights of votes known at each of `times`, ascending, as runs with the same version."""


@dataclass(frozen=True, slots=True, eq=False)
class AgentHistory:
    """The agents' votes after each candle while the pair is flat, long and short."""

    flat: tuple[AgentVotes, ...]
    long: tuple[AgentVotes, ...]
    short: tuple[AgentVotes, ...]
    policy_too_old: Flags  # (n,) the champion voted and is older than the risk rule allows
    notes: tuple[str, ...] = ()
    gate: AgentVotes | None = None  # without its signal nobody is asked for an entry; None: the first agent's

    def of(self, *places: int) -> "AgentHistory":
        """Return the history in which only the agents at these places vote; who is asked stays the same."""
        flat, long, short = (
            tuple(votes[place] for place in places) for votes in (self.flat, self.long, self.short)
        )
        return replace(self, flat=flat, long=long, short=short, gate=self.gate or self.flat[0])

    @property
    def are_weighed(self) -> bool:
        """Return whether a record makes a difference to any vote."""
        return any(each.records is not None and (each.records != 1).any() for each in self.flat)

    def unweighed(self) -> "AgentHistory":
        """Return the history in which every vote weighs by its confidence alone."""
        return replace(self, flat=tuple(each.weighed(None) for each in self.flat))


@dataclass(frozen=True, slots=True)
class DecisionHistory:
    """Decides on whole tables of candles of one timeframe, with the rules that decide live."""

    features: TableStore
    rules: DecisionRules
    timeframe: Timeframe

    def technical(self, table: pl.DataFrame) -> AgentHistory:
        """Let the technical agent vote alone, as live where neither a champion nor news are there."""
        votes = (technical_history(self._signals(table)),)
        return AgentHistory(votes, votes, votes, np.zeros(table.height, bool))

    def every_agent(self, pair: Pair, table: pl.DataFrame, known: KnownThen) -> AgentHistory:
        """Let every agent vote, each with what was known at the close of the candle."""
        sentiments = known.sentiments(pair, table["close_time"])
        technical = technical_history(self._signals(table))
        analyst = analyst_history(sentiments, self.rules.analyst)
        quant, too_old = self._quant(pair, table, known)
        flat, long, short = ((technical, votes, analyst) for votes in quant)
        weighed = _weighed(flat, sentiments["model"], table["regime"], known.weights(table["close_time"]))
        return AgentHistory(weighed, long, short, too_old, _turnout_notes(flat))

    def plan(self, pair: Pair, table: pl.DataFrame, agents: AgentHistory) -> Plan:
        """Plan what these votes decide, protected as live entries are, sized by the risk rules."""
        made = decided(agents.flat, agents.long, agents.short, self.rules.consensus, agents.gate)
        direction = np.select([made.entry == LONG, made.entry == SHORT], [1.0, -1.0], 0.0)
        closes = table["close"].to_numpy()
        stop, take_profit = protective_distances(direction, closes, table, self.rules.signals)
        entries = Entries(direction, stop, take_profit, agents.policy_too_old | self.too_quiet(table))
        correlation = table["btc_correlation"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return vote_plan(
            entries,
            leaves=LEAVE_LONG * made.leaves_long + LEAVE_SHORT * made.leaves_short,
            limits=self.rules.limits,
            btc_correlation=None if pair.base == REFERENCE_ASSET else correlation,
        )

    def _signals(self, table: pl.DataFrame) -> pl.DataFrame:
        return signal_table(table, table["close"].to_numpy(), self.rules.signals)

    def _quant(self, pair: Pair, table: pl.DataFrame, known: KnownThen) -> tuple[list[AgentVotes], Flags]:
        """Return the champions' votes while flat, long and short, and where they are too old for an entry."""
        votes: list[list[AgentVotes]] = [[], [], []]
        too_old = []
        for run, policy in known.champions(pair, table["close_time"]):
            rows = table[run]
            features = self._features(pair, rows, policy)
            for each, held in zip(votes, (None, Action.LONG, Action.SHORT), strict=True):
                each.append(quant_history(policy, features, held))
            too_old.append((votes[0][-1].actions != ABSTAINS) & self._is_too_old(policy, rows))
        return [_join(each) for each in votes], np.concatenate(too_old)

    def _features(self, pair: Pair, rows: pl.DataFrame, policy: Policy | None) -> npt.NDArray[np.float64]:
        """Return the policy's features of each row, NaN where unknown; without a policy there are none."""
        if policy is None:
            return np.empty((rows.height, 0))
        columns = ("open_time", *policy.feature_names)
        first, last = rows["open_time"][0], rows["close_time"][-1]
        read = self.features.between(pair, first, last, columns)
        joined = rows.select("open_time").join(read, on="open_time", how="left", maintain_order="left")
        return joined.select(policy.feature_names).cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def _is_too_old(self, policy: Policy | None, rows: pl.DataFrame) -> Flags:
        if policy is None:
            return np.zeros(rows.height, bool)
        last = month_start(next_month(policy.test_month)) + timedelta(days=self.rules.limits.policy_age_days)
        return (rows["close_time"] > last).to_numpy()

    def too_quiet(self, table: pl.DataFrame) -> Flags:
        """Return where nothing has been traded for longer than `trade_age` candles."""
        traded = pl.when(pl.col("volume") > 0).then("close_time").forward_fill()
        age = pl.col("close_time") - traded.fill_null(pl.col("open_time").first())
        limit = self.rules.limits.trade_age * self.timeframe.duration
        return table.select(age > limit).to_series().to_numpy()


def _weighed(
    votes: Sequence[AgentVotes], tones: pl.Series, regimes: pl.Series, runs: Sequence[Run]
) -> tuple[AgentVotes, ...]:
    """Return the votes of technical, quant and analyst with what their records make of each."""
    if all(version is None for _, version in runs):
        return tuple(votes)
    rules, pooled = (pl.Series([name]).new_from_index(0, len(tones)) for name in (TECHNICAL_MODEL, ANY_MODEL))
    judges = zip((TECHNICAL, QUANT, ANALYST), (rules, pooled, tones), votes, strict=True)
    return tuple(
        each.weighed(weights_of_rows(runs, agent, models, regimes)) for agent, models, each in judges
    )


def _join(runs: Sequence[AgentVotes]) -> AgentVotes:
    return AgentVotes(
        np.concatenate([run.actions for run in runs]), np.concatenate([run.confidences for run in runs])
    )


def _turnout_notes(agents: Sequence[AgentVotes]) -> tuple[str, ...]:
    voted = [int((each.actions != ABSTAINS).sum()) for each in agents]
    candles = len(agents[0].actions)
    counts = ", ".join(
        f"the {name} agent on {count}"
        for name, count in zip(("technical", "quant", "analyst"), voted, strict=True)
    )
    return (f"voted: {counts} of {candles} candles",)
