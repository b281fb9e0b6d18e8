"""Sentiment from a language model: what cannot be used, or was not answered, is discarded and never made up."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml.models.answers import Outcome
from ml.models.client import Answer, ModelClient
from ml.sentiment.pair import Sentiment
from ml.sentiment.prompts import SENTIMENT_PROMPT, delimited
from trading.errors import ModelBudgetSpent, ModelUnreachable

LOG = logging.getLogger("marketloom.sentiment")


class SentimentAnswer(BaseModel):
    """What the prompt asks for. `1`, `0.5` are numbers; `"0.5"`, `true`, NaN and further keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    score: Annotated[float, Field(ge=-1, le=1)]
    confidence: Annotated[float, Field(ge=0, le=1)]


class LanguageModelSentiment:
    """Asks a model about each text, several at once; None where it abstains or has not answered.

    Nothing is lost when a part fails: what was answered counts, and what has no score is asked again by a later run.
    """

    def __init__(self, client: ModelClient[SentimentAnswer]) -> None:
        self._client = client
        self.name = client.name

    def score(self, texts: Sequence[str]) -> list[Sentiment | None]:
        """Score every text, in order.

        Raises where not one was answered and the model is not to blame: ModelUnreachable, or ModelBudgetSpent when the
        day's budget does not allow to ask.
        """
        answers = self._client.ask_all(SENTIMENT_PROMPT, [delimited(text) for text in texts])
        found = [_sentiment(each) for each in answers]
        failed = Counter(each.outcome for each in answers if each.value is None)
        if failed:
            counts = ", ".join(f"{outcome} {count}" for outcome, count in sorted(failed.items()))
            LOG.warning("%s: %d of %d texts have no score: %s", self.name, failed.total(), len(texts), counts)
        if any(found) or all(each.outcome.is_abstention for each in answers):
            return found
        raise self._failure(answers)

    def _failure(self, answers: Sequence[Answer[SentimentAnswer]]) -> ModelUnreachable | ModelBudgetSpent:
        problem = next(each.problem for each in answers if not each.outcome.is_abstention)
        if any(each.outcome is Outcome.BUDGET for each in answers):
            return ModelBudgetSpent(
                f"{self.name} was not asked: {problem}; stored sentiment serves until it is too old, and from the next "
                "UTC day on it is asked again ([risk] model_budget_usd)"
            )
        return ModelUnreachable(f"{self.name} did not answer: {problem}")


def _sentiment(answer: Answer[SentimentAnswer]) -> Sentiment | None:
    if answer.value is None:
        return None
    return Sentiment(
        answer.value.score,
        answer.value.confidence,
        prompt_hash=answer.prompt_hash,
        cost_usd=answer.cost_usd,
        tokens=answer.tokens,
    )
