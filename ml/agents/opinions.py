"""The opinion of one agent on what to do with a pair, and why."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trading.errors import InvalidValue


class Action(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    HOLD = "HOLD"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True)
class Opinion:
    """A vote with its confidence. `action` None abstains: the agent has nothing to judge by, which is not HOLD.

    InvalidValue when the confidence is not a number from 0 to 1, when an abstention claims one, or when the
    evidence is not JSON (no NaN, no infinity, no dates): it goes into the receipt.
    """

    agent: str
    model: str
    action: Action | None
    confidence: float  # 0 .. 1, 0 for an abstention
    reasoning: str
    evidence: dict[str, Any]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.confidence) and 0 <= self.confidence <= 1):
            raise InvalidValue(f"{self.agent}: confidence must be from 0 to 1, not {self.confidence}")
        if self.action is None and self.confidence != 0:
            raise InvalidValue(f"{self.agent}: an abstention has confidence 0, not {self.confidence}")
        try:
            json.dumps(self.evidence, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidValue(f"{self.agent}: evidence is not JSON: {error}") from error


def abstain(agent: str, model: str, why: str) -> Opinion:
    """Return an opinion without an action."""
    return Opinion(agent, model, action=None, confidence=0.0, reasoning=why, evidence={})
