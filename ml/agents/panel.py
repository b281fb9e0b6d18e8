"""The agents that a decision asks, and what each of them is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.judgements import Judgement
from ml.agents.news_analyst import with_reading
from ml.agents.opinions import Opinion, abstain
from ml.agents.quant import quant_opinion
from ml.agents.technical import technical_opinion
from ml.agents.trader import TRADER, trader_opinion
from ml.learning.policy import Policy
from ml.sentiment.pair import PairSentiment
from trading.market import Pair
from trading.portfolio import Position
from trading.signals import TechnicalSignal


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that an agent may see of one decision."""

    pair: Pair
    at: datetime
    closed_at: datetime  # of the newest candle
    close: float  # of the newest candle
    signal: TechnicalSignal
    features: Mapping[str, float | None]
    policy: Policy | None
    position: Position | None  # the open one that can be traded
    sentiment: PairSentiment | None
    analyst: AnalystRules
    judgements: Mapping[str, Judgement] = field(default_factory=dict)  # by agent: what models answered


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
ModelAgent = Callable[[Question], Judgement]
# Is shown the first answers of all who debate, by agent, and has so many seconds.
Debater = Callable[[Question, Mapping[str, Judgement], float], Judgement]


@dataclass(frozen=True, slots=True)
class ModelPanel:
    """The language models that are asked beside the agents, by agent; none is asked by default."""

    agents: Mapping[str, ModelAgent] = field(default_factory=dict)
    seconds: float = 10.0  # for each of them
    pairs_at_once: int = 1  # about which all of them can be asked side by side
    debaters: Mapping[str, Debater] = field(
        default_factory=dict
    )  # traders that debate, by agent; none by default


def absence(agent: str, why: str) -> Opinion:
    """Return the abstention of an agent that gave no answer: it is part of what a decision was made from."""
    return abstain(agent, "none", why)


def ask_in_turn(question: Question, absent: Mapping[str, str]) -> tuple[Opinion, ...]:
    """Ask every agent but those that gave no answer when it was decided; whatever an agent raises is raised."""
    return tuple(
        absence(name, absent[name]) if name in absent else ask(question) for name, ask in AGENTS.items()
    )


def with_judgements(opinions: tuple[Opinion, ...], question: Question) -> tuple[Opinion, ...]:
    """Add the votes that are made of the question's judgements; the analyst's takes the place of the stored tones'."""
    judged = [
        trader_opinion(each, question.pair, question.close)
        for name, each in sorted(question.judgements.items())
        if name.startswith(TRADER)
    ]
    if (read := question.judgements.get(ANALYST)) is not None:
        tones = next((each for each in opinions if each.agent == ANALYST), None)
        vote, *beside = with_reading(tones, read, question.pair, question.at, question.analyst)
        if tones is None:
            judged.insert(0, vote)
        opinions = tuple(vote if each.agent == ANALYST else each for each in opinions)
        judged += beside
    return (*opinions, *judged)
