"""The agents that a decision asks, and what each of them is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.opinions import Opinion, abstain
from ml.agents.quant import quant_opinion
from ml.agents.technical import technical_opinion
from ml.learning.policy import Policy
from ml.sentiment.pair import PairSentiment
from trading.portfolio import Position
from trading.signals import TechnicalSignal


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that an agent may see of one decision."""

    at: datetime
    signal: TechnicalSignal
    features: Mapping[str, float | None]
    policy: Policy | None
    position: Position | None  # the open one that can be traded
    sentiment: PairSentiment | None
    analyst: AnalystRules


Agent = Callable[[Question], Opinion]
TECHNICAL, QUANT, ANALYST = "technical", "quant", "analyst"
AGENTS: Mapping[str, Agent] = MappingProxyType(
    {
        TECHNICAL: lambda question: technical_opinion(question.signal),
        QUANT: lambda question: quant_opinion(question.policy, question.features, question.position),
        ANALYST: lambda question: analyst_opinion(question.sentiment, question.at, question.analyst),
    }
)
READS_POSITION = frozenset({QUANT})


def absence(agent: str, why: str) -> Opinion:
    """Return the abstention of an agent that gave no answer: it is part of what a decision was made from."""
    return abstain(agent, "none", why)


def ask_in_turn(question: Question, absent: Mapping[str, str]) -> tuple[Opinion, ...]:
    """Ask every agent but those that gave no answer when it was decided; whatever an agent raises is raised."""
    return tuple(
        absence(name, absent[name]) if name in absent else ask(question) for name, ask in AGENTS.items()
    )
