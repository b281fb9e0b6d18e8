"""10,000 answers that are wrong: no crash, and nothing that could become an order."""

from collections import Counter
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from ml.agents.trading_decision import TradingDecision
from ml.models.answers import Outcome, raw_answer, read_answer
from ml.sentiment.language_model import LanguageModelSentiment, SentimentAnswer
from ml.sentiment.prompts import SENTIMENT_PROMPT

from .malformed import malformed, text
from .scripted import Script, client_of

DECISION: dict[str, Any] = {
    "action": "LONG", "symbol": "BTC/USDT", "confidence": 0.75, "position_size_pct": 5.0, "entry_price": 100.0,
    "stop_loss": 98.5, "take_profit": 104.0, "invalidation_price": 98.0, "invalidation_hours": 24.0,
    "invalidation_indicator": "rsi_14", "invalidation_side": "below", "invalidation_value": 0.4,
    "reasoning": "Momentum is up and the news is good.",
}  # fmt: skip
SENTIMENT: dict[str, Any] = {"score": 0.5, "confidence": 0.75}
RIGHT: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (TradingDecision, DECISION),
    (SentimentAnswer, SENTIMENT),
]


@pytest.mark.parametrize(("schema", "right"), RIGHT)
def test_the_right_answer_that_the_wrong_ones_are_made_of_is_valid(
    schema: type[BaseModel], right: dict[str, Any]
) -> None:
    assert read_answer(raw_answer(AIMessage(content=text(right))), schema).outcome is Outcome.VALID


@pytest.mark.parametrize(("schema", "right"), RIGHT)
def test_five_thousand_malformed_answers_give_no_value_and_no_crash(
    schema: type[BaseModel], right: dict[str, Any]
) -> None:
    found: Counter[Outcome] = Counter()
    for number, wrong in enumerate(malformed(right, 5000, seed=1)):
        message = wrong if isinstance(wrong, AIMessage) else AIMessage(content=wrong)
        reading = read_answer(raw_answer(message), schema)
        assert reading.value is None, (number, wrong)
        assert reading.problem
        found[reading.outcome] += 1
    assert found.keys() == {Outcome.INVALID, Outcome.EMPTY}


def test_malformed_answers_pass_the_whole_client_as_abstentions_and_give_no_tone() -> None:
    wrong = list(malformed(SENTIMENT, 280, seed=2))
    client = client_of(Script(*wrong), SentimentAnswer)
    answers = client.ask_all(SENTIMENT_PROMPT, [f"headline {number}" for number in range(140)])
    assert {each.value for each in answers} == {None}
    assert all(each.outcome.is_abstention for each in answers)
    fresh = client_of(Script(*wrong), SentimentAnswer)
    assert set(LanguageModelSentiment(fresh).score(["a", "b", "c"])) == {None}
