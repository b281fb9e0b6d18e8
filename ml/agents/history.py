"""The agents' votes after every candle of a history at once, and what they decide: what is live, without the words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.agents.analyst import AnalystRules
from ml.agents.news_hold import held_by_news
from ml.agents.opinions import Action
from ml.agents.votes import ABSTAINS, CODE, Array, Codes, ConsensusRules, Flags, Votes, tally
from ml.learning.policy import Policy

LONG, SHORT, HOLD, CLOSE = (CODE[action] for action in (Action.LONG, Action.SHORT, Action.HOLD, Action.CLOSE))


@dataclass(frozen=True, slots=True, eq=False)
class AgentVotes:
    """The votes of one agent, (n,) each, as `Votes` has those of several."""

    actions: Codes
    confidences: Array
    records: Array | None = None  # what the agent's record makes of each vote's weight; None: 1 everywhere
    is_news: bool = False  # the vote is the news alone

    @classmethod
    def of(cls, actions: npt.NDArray[np.int_], confidences: Array, *, is_news: bool = False) -> "AgentVotes":
        """Make votes of codes; an abstention has no confidence, whatever is given."""
        return cls(actions.astype(np.int8), np.where(actions == ABSTAINS, 0.0, confidences), is_news=is_news)

    def weighed(self, records: Array | None) -> "AgentVotes":
        """Return the same votes with what the agent's record makes of each."""
        return replace(self, records=records)


def technical_history(signals: pl.DataFrame) -> AgentVotes:
    """Return what `technical_opinion` says of each row of `signal_table`."""
    direction, strength = signals["direction"].to_numpy(), signals["strength"].to_numpy()
    actions = np.select([strength == 0, direction > 0, direction < 0], [ABSTAINS, LONG, SHORT], HOLD)
    return AgentVotes.of(actions, np.where(direction == 0, 1.0 - strength, strength))


def quant_history(policy: Policy | None, features: Array, held: Action | None) -> AgentVotes:
    """Return what `quant_opinion` says after each row of features (n, f), in the policy's order, NaN where unknown."""
    if policy is None:
        return AgentVotes(np.full(len(features), ABSTAINS, np.int8), np.zeros(len(features)))
    known = np.isfinite(features).all(axis=1)
    long, probability = np.zeros(len(features), bool), np.zeros(len(features))
    long[known], probability[known] = policy.choices(features[known], float(held is Action.LONG))
    out = HOLD if held is None else CLOSE
    return AgentVotes.of(np.where(known, np.where(long, LONG, out), ABSTAINS), probability)


def analyst_history(sentiments: pl.DataFrame, rules: AnalystRules) -> AgentVotes:
    """Return what `analyst_opinion` says of each row of `pair_sentiments`."""
    age = pl.col("at") - pl.col("newest_known_at")
    fresh = (age >= timedelta(0)) & (age <= timedelta(hours=rules.maximum_age_hours))
    voting = (fresh & (pl.col("articles") >= rules.minimum_articles)).fill_null(False)
    action = (
        pl.when(~voting).then(ABSTAINS).when(pl.col("score") > rules.threshold).then(LONG)
        .when(pl.col("score") < -rules.threshold).then(SHORT).otherwise(HOLD)
    )  # fmt: skip
    table = sentiments.select(action=action, confidence=pl.col("confidence").fill_null(0.0))
    return AgentVotes.of(table["action"].to_numpy(), table["confidence"].to_numpy(), is_news=True)


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What is decided after each candle, (n,) each, whichever position is open then."""

    entry: Codes  # code of what is entered while flat: LONG or SHORT, else HOLD
    leaves_long: npt.NDArray[np.bool_]  # an open long is closed
    leaves_short: npt.NDArray[np.bool_]


def decided(
    flat: Sequence[AgentVotes],
    long: Sequence[AgentVotes],
    short: Sequence[AgentVotes],
    rules: ConsensusRules,
    gate: AgentVotes | None = None,
) -> Decided:
    """Form the consensus of the agents after each candle: of their votes while flat, long and short.

    `gate` has the technical agent's votes, None where they are the first: without its signal nobody is asked for an
    entry.
    """
    actionable = np.isin((gate or flat[0]).actions, [LONG, SHORT])
    return Decided(
        entry=np.where(actionable, _action(flat, rules, None), HOLD).astype(np.int8),
        leaves_long=_action(long, rules, Action.LONG) == CLOSE,
        leaves_short=_action(short, rules, Action.SHORT) == CLOSE,
    )


def _action(agents: Sequence[AgentVotes], rules: ConsensusRules, held: Action | None) -> Codes:
    """Return (n,) codes: HOLD where nobody votes for a change, since nothing is done that nobody votes for."""
    changes = [LONG, SHORT] if held is None else [CLOSE, SHORT if held is Action.LONG else LONG]
    votes = _of_several(agents)
    rows: Flags = np.asarray(np.isin(votes.actions, changes).any(axis=1))
    action = np.full(len(votes.actions), HOLD, np.int8)
    action[rows] = tally(votes.at(rows), rules, held).action
    if held is None:
        action[action == CLOSE] = HOLD  # nothing to close
        is_news = np.array([agent.is_news for agent in agents])
        for side in (Action.LONG, Action.SHORT):
            alone, against = held_by_news(votes, is_news, rules, side)
            action[(action == CODE[side]) & (alone | against)] = HOLD
    return action


def _of_several(agents: Sequence[AgentVotes]) -> Votes:
    records = None
    if any(agent.records is not None for agent in agents):
        ones = np.ones(len(agents[0].actions))
        records = np.stack([ones if each.records is None else each.records for each in agents], axis=1)
    return Votes(
        np.stack([each.actions for each in agents], axis=1),
        np.stack([each.confidences for each in agents], axis=1),
        records,
    )
