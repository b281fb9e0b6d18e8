"""Consecutive folds joined to one history: the numbers that the promotion gate judges."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ml.learning.evaluation import Evaluation
from trading.errors import InvalidValue
from trading.market import next_month
from trading.metrics import TrackRecord, deflated_sharpe_ratio

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JoinedFolds:
    """Oldest first. Raises InvalidValue when they are not consecutive months of one pair and dataset."""

    folds: tuple[Evaluation, ...]

    def __post_init__(self) -> None:
        for before, after in pairwise(self.folds):
            _check_consecutive(before, after)

    @property
    def recipes(self) -> set[str]:
        return {fold.recipe for fold in self.folds}

    @property
    def trades(self) -> int:
        """Count the trades as an evaluation does, see `Performance.trades`."""
        return sum(fold.policy.trades for fold in self.folds)

    @property
    def exposure(self) -> float:
        """Mean exposure of the policy over all candles; 0 without folds."""
        candles = sum(fold.candles - 1 for fold in self.folds)
        return sum(fold.policy.exposure * (fold.candles - 1) for fold in self.folds) / max(candles, 1)

    def whole_months(self, minimum_coverage: float) -> list[Evaluation]:
        """List the newest folds without a break in which the policy decided on that share of the month's candles."""
        return list(self._newest_whole(minimum_coverage))[::-1]

    def _newest_whole(self, minimum_coverage: float) -> Iterator[Evaluation]:
        for fold in reversed(self.folds):
            if fold.coverage < minimum_coverage:
                return
            yield fold

    def returns(self) -> dict[str, float]:
        """Compute the joined returns after costs.

        Every fold starts flat and pays for its own entry. Holding buys once, in the first fold; later folds
        contribute the price alone. So doubt counts against the policy.
        """
        entry = [1 + fold.buy_and_hold.total_return for fold in self.folds[:1]]
        return {
            "policy": math.prod(1 + fold.policy.total_return for fold in self.folds) - 1,
            "cash": math.prod(1 + fold.cash.total_return for fold in self.folds) - 1,
            "buy_and_hold": math.prod([*entry, *(1 + fold.market_return for fold in self.folds[1:])]) - 1,
        }

    def daily_excess(self) -> Array:
        """Compute the daily log returns after costs over those of a constant mix of the same mean exposure.

        The mix is mean exposure x the price's log return and pays no costs. A policy without skill that is long
        for that share of the time earns the same before costs, in a rising and in a falling market.
        """
        policy = [value for fold in self.folds for value in fold.daily.policy]
        market = [value for fold in self.folds for value in fold.daily.market]
        return np.array(policy, dtype=np.float64) - self.exposure * np.array(market, dtype=np.float64)

    def deflated_sharpe(self, trials: int) -> float:
        """Return the probability that the daily excess is skill, and not the luckiest of `trials` without any.

        Most trials are not on record, so the variance of their Sharpe ratios is that of estimates over as many
        days when the true ratio is 0: 1 / (days - 1). 0 where the excess does not vary.
        """
        record = TrackRecord.of_differences(self.daily_excess())
        return 0.0 if record is None else deflated_sharpe_ratio(record, trials, 1.0 / (record.periods - 1))


def _check_consecutive(before: Evaluation, after: Evaluation) -> None:
    if (before.pair, before.dataset) != (after.pair, after.dataset):
        raise InvalidValue(
            f"folds of {before.pair} {before.dataset} and {after.pair} {after.dataset} do not stitch"
        )
    if after.test_month != next_month(before.test_month):
        raise InvalidValue(
            f"folds {before.test_month:%Y-%m} and {after.test_month:%Y-%m} are not consecutive: "
            "evaluate the months between them first"
        )
