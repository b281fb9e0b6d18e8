"""Sentiment from a language model; an answer that is not the requested JSON is discarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.models.errors import translate_client_errors
from ml.sentiment.pair import Sentiment
from ml.sentiment.prompts import SENTIMENT_PROMPT_HASH, sentiment_messages

_ATTEMPTS = 2


class SentimentAnswer(BaseModel):
    """What the prompt asks for. `1`, `0.5` are numbers; `"0.5"`, `true`, NaN and further keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    score: Annotated[float, Field(ge=-1, le=1)]
    confidence: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """USD per million tokens; both 0 for a local model."""

    input: float
    output: float


LOCAL_PRICE = TokenPrice(input=0.0, output=0.0)


class LanguageModelSentiment:
    """Asks once per text, once more when the answer is not the requested JSON, then abstains (None).

    Any LangChain chat model will do, best at temperature 0. ModelUnreachable when it does not answer.
    """

    def __init__(
        self, chat_model: Runnable[LanguageModelInput, BaseMessage], name: str, price: TokenPrice
    ) -> None:
        self._chat_model = chat_model
        self._price = price
        self.name = name

    def score(self, texts: Sequence[str]) -> list[Sentiment | None]:
        """Score every text, in order; None is an abstention."""
        return [self._judge(text) for text in texts]

    def _judge(self, text: str) -> Sentiment | None:
        input_tokens = output_tokens = 0
        for _ in range(_ATTEMPTS):
            with translate_client_errors(self.name):
                message = self._chat_model.invoke(sentiment_messages(text))
            usage: Any = getattr(message, "usage_metadata", None) or {}
            input_tokens += usage.get("input_tokens", 0)
            output_tokens += usage.get("output_tokens", 0)
            if answer := _parse_answer(message):
                cost = (input_tokens * self._price.input + output_tokens * self._price.output) / 1e6
                return Sentiment(
                    answer.score,
                    answer.confidence,
                    prompt_hash=SENTIMENT_PROMPT_HASH,
                    cost_usd=cost,
                    tokens=input_tokens + output_tokens,
                )
        return None


def _parse_answer(message: BaseMessage) -> SentimentAnswer | None:
    try:
        return SentimentAnswer.model_validate_json(str(message.content))
    except ValidationError:
        return None
