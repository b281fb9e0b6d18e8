"""Scores of a model's votes against known outcomes: the track record that voting weights are built on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.opinions import Action
from ml.learning.policy import Policy
from ml.sentiment.pair import PairSentiment
from trading.fills import Costs
from trading.indicators import FEATURE_NAMES, POLICY_FEATURES
from trading.signals import SignalRules, technical_signal

Votes = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The score of one model on one pair and day. Returns are shares; `votes` counts those with a direction."""

    model: str
    candles: int
    votes: int
    hit_rate: float | None  # share of votes that were right over the next holding period; None without a vote
    mean_return: float | None  # per vote, before costs
    pnl: float  # sum of vote x return, less the cost of every change of vote
    cost_usd: float = 0.0  # what asking the model cost


@dataclass(frozen=True, slots=True)
class DayOutcomes:
    """The decision rows of one day whose outcome is known, and the return that followed each."""

    rows: pl.DataFrame  # features and close of each candle
    returns: npt.NDArray[np.float64]  # (n,): from the next open to the one after it


def day_outcomes(
    candles: pl.DataFrame, features: pl.DataFrame, start: datetime, end: datetime
) -> DayOutcomes:
    """Select the candles closing in [start, end) whose features are warm and whose two following opens exist.

    `candles` must reach at least two candles beyond the day where they exist.
    """
    following = candles.select(
        "open_time",
        "close",
        outcome=pl.col("open").shift(-2) / pl.col("open").shift(-1) - 1,
    )
    rows = (
        features.join(following, on="open_time")
        .filter(pl.col("close_time") >= start, pl.col("close_time") < end)
        .drop_nulls(["outcome", *POLICY_FEATURES])
    )
    return DayOutcomes(rows.drop("outcome"), rows["outcome"].to_numpy())


def score_votes(model: str, votes: Votes, returns: npt.NDArray[np.float64], costs: Costs) -> ModelScore:
    """Score votes (n,) of -1, 0 or 1 against the returns (n,) that followed; flat before the first."""
    directional = votes != 0
    earned = votes * returns
    changes = np.abs(np.diff(votes, prepend=0.0)).sum()
    return ModelScore(
        model=model,
        candles=len(votes),
        votes=int(directional.sum()),
        hit_rate=float((earned[directional] > 0).mean()) if directional.any() else None,
        mean_return=float(earned[directional].mean()) if directional.any() else None,
        pnl=float(earned.sum() - changes * costs.per_side),
    )


def technical_votes(day: DayOutcomes, rules: SignalRules) -> Votes:
    return np.array([float(technical_signal(row, row["close"], rules).direction.sign) for row in _rows(day)])


def policy_votes(day: DayOutcomes, policy: Policy) -> Votes:
    """Return the policy's exposures, each decision starting from the one before."""
    votes, exposure = [], 0.0
    for row in _rows(day):
        exposure = policy.act(row, exposure).exposure
        votes.append(exposure)
    return np.array(votes)


def analyst_votes(
    day: DayOutcomes, sentiment_at: Callable[[datetime], PairSentiment | None], rules: AnalystRules
) -> Votes:
    """Return the analyst's opinion at each close as a vote; 0 where it abstains."""
    closes = day.rows["close_time"].to_list()
    return np.array([_sign(analyst_opinion(sentiment_at(close), close, rules).action) for close in closes])


def _sign(action: Action | None) -> float:
    return {Action.LONG: 1.0, Action.SHORT: -1.0}.get(action, 0.0) if action else 0.0


def _rows(day: DayOutcomes) -> Iterator[Mapping[str, float]]:
    return day.rows.select(*FEATURE_NAMES, "close").iter_rows(named=True)
