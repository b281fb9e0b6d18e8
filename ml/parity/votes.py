"""What a candle's votes come to, as the back-test's row: by the lines that decide a whole history at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from ml.agents.analyst import TONES
from ml.agents.history import AgentVotes
from ml.agents.news_hold import NEWS
from ml.agents.opinions import Action, Opinion
from ml.agents.panel import QUANT, TECHNICAL
from ml.agents.vote_weights import VoteWeights
from ml.agents.votes import ABSTAINS, CODE, Array
from ml.decision.restoring import with_numbers
from ml.decision_history import AgentHistory, DecisionHistory
from trading.backtest import LEAVE_LONG, LEAVE_SHORT, Plan
from trading.indicators.regimes import newest_label
from trading.market import Pair
from trading.parity import Row

RULES_ALONE = (TECHNICAL, QUANT)  # who can be asked about the past again; the others read texts
SIDE = {Action.LONG: LEAVE_LONG, Action.SHORT: LEAVE_SHORT}
_SAME = 1e-9  # of two distances, as shares


def rows_of(plan: Plan) -> list[Row]:
    """Read a plan of votes, candle by candle."""
    assert plan.leaves is not None
    size = plan.candles
    columns = [
        np.broadcast_to(np.asarray(each, np.float64), size).tolist() for each in (plan.stop, plan.take_profit)
    ]
    targets = np.asarray(plan.target, np.float64).tolist()
    rows = zip(targets, *columns, plan.leaves.tolist(), strict=True)
    return [Row(target, stop, take_profit, int(leaves)) for target, stop, take_profit, leaves in rows]


def voted_row(
    decisions: DecisionHistory,
    pair: Pair,
    opinions: Iterable[Opinion],
    seen: Mapping[str, Any],
    *,
    weights: VoteWeights | None = None,
    refused: bool,
) -> Row:
    """Return what these opinions come to after one candle; only the answer for what was held then was asked for.

    `seen` has the candle's close_time and close, and its features. `weights` are those of the decision. `refused`: a
    rule about the market's own state lets no entry pass.
    """
    ordered = sorted(opinions, key=lambda each: each.agent != TECHNICAL)
    regime = newest_label(seen["features"])
    weighed = tuple(_votes(each).weighed(_record(weights, each, regime)) for each in ordered)
    votes = tuple(
        _votes(each) for each in ordered if each.agent != TONES
    )  # who only holds entries closes nothing
    agents = AgentHistory(weighed, votes, votes, policy_too_old=np.array([refused]))
    return rows_of(decisions.plan(pair, _table(decisions, seen), agents))[0]


def _votes(opinion: Opinion) -> AgentVotes:
    code = ABSTAINS if opinion.action is None else CODE[opinion.action]
    return AgentVotes.of(np.array([code]), np.array([opinion.confidence]), is_news=opinion.agent in NEWS)


def _record(weights: VoteWeights | None, opinion: Opinion, regime: str | None) -> Array | None:
    if opinion.agent == TONES:
        return np.zeros(1)
    record = weights.of(opinion.agent, opinion.model, regime) if weights else None
    return None if record is None else np.array([record.weight])


def _table(decisions: DecisionHistory, seen: Mapping[str, Any]) -> pl.DataFrame:
    closed: datetime = seen["close_time"]
    features = {name: [_number(seen["features"].get(name))] for name in ("atr_14_share", "btc_correlation")}
    return pl.DataFrame(
        {
            "open_time": [closed - decisions.timeframe.duration],
            "close_time": [closed],
            "close": [float(seen["close"])],
            "volume": [1.0],  # whether too little was traded is in `refused`
            **features,
        },
        schema_overrides=dict.fromkeys(features, pl.Float64),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def with_answer(row: Row, answered: Row, held: Action | None) -> Row:
    """Return the row with the other's answer for what was held; the answers for other sides stay."""
    if held is None:
        return replace(answered, leaves=row.leaves)
    side = SIDE[held]
    return replace(row, leaves=(row.leaves & ~side) | (answered.leaves & side))


def same_row(one: Row, other: Row) -> bool:
    """Return whether both do the same, protected alike."""
    if (one.leaves, one.enters) != (other.leaves, other.enters):
        return False
    levels = [(each.target, each.stop, each.take_profit) for each in (one, other)]
    return not one.enters or np.allclose(levels[0], levels[1], rtol=_SAME, atol=0.0, equal_nan=True)


def opinions_of(receipt: Mapping[str, Any]) -> tuple[Opinion, ...]:
    """Return the opinions as they were recorded."""
    recorded: Sequence[Mapping[str, Any]] = with_numbers(receipt["opinions"])
    return tuple(
        Opinion(**{**each, "action": each["action"] and Action(each["action"])}) for each in recorded
    )


def alone(opinions: Iterable[Opinion]) -> tuple[Opinion, ...]:
    """Return those of the agents that can be asked about the past again."""
    return tuple(each for each in opinions if each.agent in RULES_ALONE)


def without_readers(agents: AgentHistory) -> AgentHistory:
    """Return the history without the votes of agents that read texts: the last of each."""
    count = len(RULES_ALONE)
    return replace(agents, flat=agents.flat[:count], long=agents.long[:count], short=agents.short[:count])
