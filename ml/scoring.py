"""Scores of a model's votes against known outcomes: the track record that voting weights are built on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.agents.analyst import AnalystRules
from ml.agents.history import LONG, SHORT, analyst_history
from ml.learning.evaluation import decide_exposures
from ml.learning.policy import Policy
from trading.fills import Costs
from trading.indicators import POLICY_FEATURES
from trading.market import TIME
from trading.signals import SignalRules, signal_table

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
class Outcomes:
    """The decision rows of some days whose outcome is known, and the return that followed each."""

    rows: pl.DataFrame  # features and close of each candle
    returns: npt.NDArray[np.float64]  # (n,): from the next open to the one after it

    def within(self, start: datetime, end: datetime) -> slice:
        """Return where the candles closing in [start, end) are."""
        bounds = pl.Series([start, end], dtype=TIME)
        first, last = np.searchsorted(self.rows["close_time"].to_numpy(), bounds.to_numpy())
        return slice(int(first), int(last))


def known_outcomes(candles: pl.DataFrame, features: pl.DataFrame, start: datetime, end: datetime) -> Outcomes:
    """Select the candles closing in [start, end) whose features are warm and whose two following opens exist.

    The second of them must lie within the day after the candle's own: an outage is no outcome of a vote. `candles`
    must reach a day beyond `end` where they exist.
    """
    following = candles.select(
        "open_time",
        "close",
        outcome=pl.col("open").shift(-2) / pl.col("open").shift(-1) - 1,
        known=pl.col("open_time").shift(-2),
    )
    next_midnights = pl.col("close_time").dt.truncate("1d") + timedelta(days=2)
    rows = (
        features.join(following, on="open_time", maintain_order="left")
        .filter(pl.col("close_time") >= start, pl.col("close_time") < end, pl.col("known") < next_midnights)
        .drop_nulls(["outcome", *POLICY_FEATURES])
    )
    return Outcomes(rows.drop("outcome", "known"), rows["outcome"].to_numpy())


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


def technical_votes(outcomes: Outcomes, rules: SignalRules) -> Votes:
    """Return the technical agent's direction after each candle."""
    signals = signal_table(outcomes.rows, outcomes.rows["close"].to_numpy(), rules)
    return signals["direction"].cast(pl.Float64).to_numpy()


def analyst_votes(sentiments: pl.DataFrame, rules: AnalystRules) -> Votes:
    """Return the side that the analyst takes at each row of `pair_sentiments`."""
    actions = analyst_history(sentiments, rules).actions
    return np.select([actions == LONG, actions == SHORT], [1.0, -1.0], 0.0)


def policy_votes(rows: pl.DataFrame, policy: Policy) -> Votes:
    """Return the policy's exposures, flat before the first row and each decision starting from the one before."""
    policy.check_features(rows.columns)
    return decide_exposures(policy, rows.select(policy.feature_names).cast(pl.Float64).to_numpy())[0]
