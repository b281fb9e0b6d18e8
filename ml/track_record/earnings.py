"""What following a judge would have earned, net of costs, what asking it cost, and what its rivals earned.

Everybody is followed on the same candles: all in on the side of the vote, for one candle, out where there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.scoring import score_votes
from trading.fills import Costs

Array = npt.NDArray[np.float64]
DRAWS = 200  # of the random rival
SEED = 7


@dataclass(frozen=True, slots=True)
class Earnings:
    """One judge on one pair: sums of shares, not compounded. The rivals are those of the same candles."""

    agent: str
    model: str
    pair: str
    candles: int
    gross: float
    net: float  # after fees and spread
    usd: float  # what its answers cost
    buy_and_hold: float  # net
    random: float  # mean of votes on the same candles with a coin's sides, net
    random_high: float  # what 95 % of such draws stay below


def earnings(votes: pl.DataFrame, costs: Mapping[str, Costs]) -> list[Earnings]:
    """Return what each agent's model earned on each pair; votes come from `with_outcomes` with a horizon of 1."""
    ordered = votes.sort("agent", "model", "pair", "closed_at")
    return [
        _earnings(group, costs[str(group["pair"][0])])
        for group in ordered.partition_by("agent", "model", "pair", maintain_order=True)
    ]


def _earnings(group: pl.DataFrame, costs: Costs) -> Earnings:
    sides, returns = group["direction"].cast(pl.Float64).to_numpy(), group["outcome"].to_numpy()
    random = _random(sides, returns, costs)
    return Earnings(
        agent=group["agent"][0],
        model=group["model"][0],
        pair=group["pair"][0],
        candles=group.height,
        gross=float(np.dot(sides, returns)),
        net=score_votes("", sides, returns, costs).pnl,
        usd=float(group["usd"].sum()),
        buy_and_hold=score_votes("", np.ones_like(returns), returns, costs).pnl,
        random=float(random.mean()),
        random_high=float(np.quantile(random, 0.95)),
    )


def _random(sides: Array, returns: Array, costs: Costs) -> Array:
    """Return (DRAWS,) what votes on the same candles earn whose sides a coin has chosen."""
    coin = np.random.default_rng(SEED).choice([-1.0, 1.0], (DRAWS, len(sides)))
    drawn = np.where(sides != 0, coin, 0.0)
    changes = np.abs(np.diff(drawn, prepend=0.0, axis=1)).sum(axis=1)
    earned: Array = drawn @ returns - changes * costs.per_side
    return earned
