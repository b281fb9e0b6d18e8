"""The rules that turn a market into a decision: the same for a live decision and for a back-test of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ml.agents.analyst import AnalystRules
from ml.agents.votes import ConsensusRules
from trading.errors import InvalidValue
from trading.risk import Limits
from trading.signals import SignalRules

MAX_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class AnswerSeconds:
    """How long a decision waits for each agent; who has not answered by then has no vote in it."""

    technical: float = 1.0
    quant: float = 1.0
    analyst: float = 10.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and 0 < value <= MAX_SECONDS):
                raise InvalidValue(f"{name} is {value}: allowed is above 0, up to {MAX_SECONDS:g} seconds")

    def by_agent(self) -> Mapping[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DecisionRules:
    signals: SignalRules
    analyst: AnalystRules
    consensus: ConsensusRules
    limits: Limits
    answer_seconds: AnswerSeconds = AnswerSeconds()
