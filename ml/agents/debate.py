"""The debate of traders that disagree: each is shown the others' answers once, and keeps or changes its own."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from ml.agents.judgements import Judgement, judged, reading_of
from ml.agents.model_trader import trader_message
from ml.agents.news_analyst import readable
from ml.agents.opinions import Action
from ml.agents.panel import Question
from ml.agents.trader import trader_opinion
from ml.agents.trading_decision import TradingDecision
from ml.models.answers import Outcome
from ml.models.client import ModelClient
from ml.models.prompt_files import Prompt

MAX_REASONING = 500  # characters of another trader's reasons that are shown
MIN_SECONDS = 1.0  # with less left of the limit nobody is asked again
ENTRIES = (Action.LONG, Action.SHORT)


def who_debates(question: Question, judgements: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """Return the judgements that are votes, where these are not all for the same side; else none."""
    votes = {
        name: trader_opinion(each, question.pair, question.close).action for name, each in judgements.items()
    }
    sides = {_side(each, question) for each in votes.values() if each is not None}
    return {name: each for name, each in judgements.items() if votes[name] is not None and len(sides) > 1}


def _side(action: Action, question: Question) -> str:
    """Name the side as the vote counts it: in a position out or stay, while flat an entry or none."""
    position = question.position
    if position is None:
        return str(action) if action in ENTRIES else "none"
    own = Action.LONG if position.quantity > 0 else Action.SHORT
    return "stay" if action in (own, Action.HOLD) else "out"


class ModelDebater:
    """Asks a trader's model again; `client` is the one that it has answered through."""

    def __init__(
        self, agent: str, prompt: Prompt, client: Callable[[], ModelClient[TradingDecision]]
    ) -> None:
        self._agent, self._prompt, self._client = agent, prompt, client

    def __call__(self, question: Question, judgements: Mapping[str, Judgement], seconds: float) -> Judgement:
        """Return its answer after the debate; one that would be no vote is invalid, so that the first counts."""
        client = replace(self._client(), seconds=seconds)
        answer = client.ask(self._prompt, debate_message(question, self._agent, judgements))
        second = judged(self._agent, self._prompt, answer)
        opinion = trader_opinion(second, question.pair, question.close)
        if opinion.action is None and second.outcome == Outcome.VALID:
            return replace(second, outcome=str(Outcome.INVALID), problem=opinion.reasoning)
        return second


def debate_message(question: Question, agent: str, judgements: Mapping[str, Judgement]) -> str:
    """Return what is known, the trader's own answer, and the others' between markers that they cannot close.

    No model is named, and of an answer only side, confidence and reasons are told, cut to a bounded length.
    """
    others = [_shown("opinion", each) for name, each in sorted(judgements.items()) if name != agent]
    return "\n".join([trader_message(question), _shown("own", judgements[agent]), *others])


def _shown(marker: str, judgement: Judgement) -> str:
    decision = reading_of(judgement, TradingDecision).value
    assert decision is not None  # only votes are debated
    reasons = readable(decision.reasoning, MAX_REASONING)
    return f"<{marker}>\n{decision.action}, confidence {decision.confidence:.2f}\n{reasons}\n</{marker}>"
