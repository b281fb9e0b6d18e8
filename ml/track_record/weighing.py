"""Weights of votes from their scores: who was no better than the base rate has no vote, the others weigh by hit rate.

Of independent judges of whom each is right with probability p, the majority that is right most often is the one where
each weighs log(p / (1 - p)) (Nitzan and Paroush 1982, International Economic Review 23). Here p is the hit rate, drawn
towards `PRIOR_RATE` as if `PRIOR_WINDOWS` had been judged at it, and the weight of that prior is 1.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from ml.agents.analyst import TONES
from ml.agents.panel import QUANT
from ml.agents.vote_weights import ANY_MODEL, EVERY_REGIME, VoteWeight, VoteWeights
from ml.track_record.board import BoardMaker
from ml.track_record.scores import Score, scores
from ml.track_record.votes import UNKNOWN_REGIME
from trading.errors import InvalidValue
from trading.ports import DESK

PRIOR_RATE, PRIOR_WINDOWS = 0.55, 100
LOWEST, HIGHEST = 0.25, 2.0  # weights of those who have a vote


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """Which past votes count, and when a record changes something."""

    enabled: bool
    horizon: int  # candles over which a vote is scored
    window_days: float  # older votes are forgotten
    minimum_windows: int  # spans of `horizon` candles with a vote, before a record says anything
    switch: float  # a weight that would change by less stays as it is
    recovery: float  # skill at which an agent gets back the vote that it lost

    def __post_init__(self) -> None:
        allowed = {
            "horizon": (1 <= self.horizon <= 1000, "1 to 1000 candles"),
            "window_days": (1 <= self.window_days <= 3650, "1 to 3650 days"),
            "minimum_windows": (self.minimum_windows >= 10, "10 or more: fewer are luck"),
            "switch": (0 <= self.switch < LOWEST, f"0 or more, below {LOWEST}"),
            "recovery": (0 <= self.recovery < 1, "0 or more, below 1"),
        }
        for name, (possible, values) in allowed.items():
            if not possible:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is {values}")


@dataclass(frozen=True, slots=True)
class Weigher:
    """Makes versions from recorded votes and what followed them."""

    record: BoardMaker
    rules: MemoryRules

    def weights(self, until: datetime, previous: VoteWeights | None) -> VoteWeights:
        """Weigh every agent's model by its votes with outcomes known at `until`, in each regime and in all.

        Votes in shadow mode are left out, since a challenger may have learned from what followed them, and so are those
        on what a language model may have read. `previous` is the version that counts now; one of another horizon says
        nothing here.
        """
        rules = self.rules
        votes = self.record.followed(until - timedelta(days=rules.window_days), until, rules.horizon)
        judged = votes.filter(~pl.col("agent").is_in([DESK, TONES]), ~pl.col("shadow")).with_columns(
            model=pl.when(pl.col("agent") == QUANT).then(pl.lit(ANY_MODEL)).otherwise("model")
        )
        found = [
            *scores(judged, rules.horizon),
            *scores(judged.filter(pl.col("regime") != UNKNOWN_REGIME), rules.horizon, by_regime=True),
        ]
        comparable = previous is not None and previous.horizon == rules.horizon
        before = {_key(each): each.weight for each in previous.weights} if previous and comparable else {}
        return VoteWeights(
            known_at=until,
            horizon=rules.horizon,
            minimum_windows=rules.minimum_windows,
            weights=tuple(self._weighed(each, before) for each in sorted(found, key=_key)),
        )

    def _weighed(self, score: Score, before: dict[tuple[str, str, str], float]) -> VoteWeight:
        return VoteWeight(
            agent=score.agent,
            model=score.model,
            regime=score.regime or EVERY_REGIME,
            weight=self._weight(score, before.get(_key(score), 1.0)),
            windows=score.windows,
            votes=score.votes,
            hit_rate=score.hit_rate,
            brier=score.calibrated_brier,
            base_brier=score.base_brier,
            skill=score.calibrated_skill,
        )

    def _weight(self, score: Score, before: float) -> float:
        """Return the weight, that of `before` where the change is too small to make."""
        if score.windows < self.rules.minimum_windows:
            return 0.0 if before == 0 else 1.0  # what was lost is not won back by being forgotten
        if score.calibrated_skill <= 0 or (before == 0 and score.calibrated_skill < self.rules.recovery):
            return 0.0
        weight = weight_of_rate(score.hit_rate, score.windows)
        return before if before > 0 and abs(weight - before) < self.rules.switch else weight


def weight_of_rate(hit_rate: float, windows: int) -> float:
    """Return the weight of a judge with this hit rate on so many windows, LOWEST .. HIGHEST; without any 1."""
    rate = (hit_rate * windows + PRIOR_RATE * PRIOR_WINDOWS) / (windows + PRIOR_WINDOWS)
    weight = _log_odds(rate) / _log_odds(PRIOR_RATE)
    return round(min(max(weight, LOWEST), HIGHEST), 3)


def _log_odds(rate: float) -> float:
    return math.log(rate / (1.0 - rate))


def _key(judged: Score | VoteWeight) -> tuple[str, str, str]:
    return judged.agent, judged.model, judged.regime
