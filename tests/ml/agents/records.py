"""Records of agents that tests of the vote are told with."""

from datetime import UTC, datetime
from typing import Any

from ml.agents.vote_weights import EVERY_REGIME, VoteWeight, VoteWeights

KNOWN_AT = datetime(2024, 1, 1, tzinfo=UTC)


def record(
    agent: str, weight: float, model: str = "model", regime: str = EVERY_REGIME, **changes: Any
) -> VoteWeight:
    """A record long enough to count, with this weight."""
    values = {"windows": 200, "votes": 300, "hit_rate": 0.6, "brier": 0.24, "base_brier": 0.25, "skill": 0.04}
    return VoteWeight(agent, model, regime, weight, **values | changes)


def weights(*records: VoteWeight, known_at: datetime = KNOWN_AT) -> VoteWeights:
    return VoteWeights(known_at, horizon=4, minimum_windows=100, weights=records)
