"""Which models judge and embed: Ollama where it answers and has the model, else what is embedded."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trading.errors import InvalidValue, ModelUnreachable

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable
    from langchain_ollama import OllamaEmbeddings

    from ml.news.embeddings import Embedder
    from ml.sentiment.pair import SentimentModel

_SEED = 0
_LOOK_SECONDS = 2.0  # a server that needs longer to list its models is no use within the limit of an answer
_ANSWER_TOKENS = (
    64  # the JSON that is asked for takes about 20; a model that talks on is cut off and abstains
)


@dataclass(frozen=True, slots=True)
class OllamaSettings:
    base_url: str
    chat_model: str
    embedding_model: str
    timeout_seconds: float  # for a whole answer

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise InvalidValue(f"base_url must begin with http:// or https://, not {self.base_url!r}")
        for name in ("chat_model", "embedding_model"):
            if not getattr(self, name).strip():
                raise InvalidValue(f"{name} must name an Ollama model, for example `qwen2.5:7b`")
        if not (math.isfinite(self.timeout_seconds) and self.timeout_seconds > 0):
            raise InvalidValue(f"timeout_seconds must be a finite number above 0, not {self.timeout_seconds}")


def ollama_answers(base_url: str, timeout: float) -> bool:
    """One look, at most about `timeout` seconds; anything but a list of models counts as no answer."""
    return _installed(base_url, timeout) is not None


def chat_model(
    settings: OllamaSettings, answer_schema: dict[str, Any]
) -> "Runnable[LanguageModelInput, AIMessage]":
    """A chat model that is held to `answer_schema` (JSON schema), temperature 0 and a fixed seed.

    It does not stream: the time limit of a stream would count from its latest piece, not from the question.
    """
    from langchain_ollama import ChatOllama

    model = ChatOllama(
        model=settings.chat_model,
        base_url=settings.base_url,
        client_kwargs=_connection(settings.timeout_seconds),
        format=answer_schema,
        temperature=0,
        seed=_SEED,
        num_predict=_ANSWER_TOKENS,
    )
    return model.bind(stream=False)


def embedding_model(settings: OllamaSettings) -> "OllamaEmbeddings":
    from langchain_ollama import OllamaEmbeddings

    return OllamaEmbeddings(
        model=settings.embedding_model,
        base_url=settings.base_url,
        client_kwargs=_connection(settings.timeout_seconds),
    )


def choose_sentiment_model(
    settings: OllamaSettings, preference: Literal["auto", "ollama", "lexicon"]
) -> "SentimentModel":
    """ModelUnreachable when Ollama is asked for by name and cannot serve; `auto` then takes the lexicon."""
    if _use_ollama(settings, settings.chat_model, preference):
        from ml.sentiment.language_model import LOCAL, LanguageModelSentiment, SentimentAnswer

        chat = chat_model(settings, SentimentAnswer.model_json_schema())
        return LanguageModelSentiment(chat, f"ollama/{settings.chat_model}", LOCAL)
    from ml.sentiment.lexicon import LexiconSentiment

    return LexiconSentiment()


def choose_embedder(
    settings: OllamaSettings, preference: Literal["auto", "ollama", "packaged"]
) -> "Embedder":
    """ModelUnreachable when Ollama is asked for by name and cannot serve; `auto` then takes the package."""
    from ml.news.embeddings import OllamaEmbedder, PackagedMiniLM

    if _use_ollama(settings, settings.embedding_model, preference):
        return OllamaEmbedder(embedding_model(settings), f"ollama/{settings.embedding_model}")
    return PackagedMiniLM()


def _use_ollama(settings: OllamaSettings, model: str, preference: str) -> bool:
    if preference not in ("auto", "ollama"):
        return False
    obstacle = _obstacle(settings, model)
    if obstacle and preference == "ollama":
        raise ModelUnreachable(obstacle)
    return not obstacle


def _obstacle(settings: OllamaSettings, model: str) -> str:
    """Why Ollama cannot serve the model, and what to do; empty when it can."""
    installed = _installed(settings.base_url, min(_LOOK_SECONDS, settings.timeout_seconds))
    if installed is None:
        return (
            f"Ollama does not answer at {settings.base_url}: "
            f"start it with `ollama serve`, then `ollama pull {model}`"
        )
    if installed.isdisjoint({model, f"{model}:latest"}):
        return f"Ollama at {settings.base_url} does not have {model}: `ollama pull {model}`"
    return ""


def _installed(base_url: str, timeout: float) -> set[str] | None:
    """Names of the models that Ollama has, None when it does not answer as Ollama does."""
    import httpx

    try:
        answer = httpx.get(f"{base_url.rstrip('/')}/api/tags", timeout=timeout, trust_env=False)
        return {model["name"] for model in answer.raise_for_status().json()["models"]}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


def _connection(timeout: float) -> dict[str, Any]:
    """Proxy variables of the environment are ignored: the address that was configured is the one to reach."""
    return {"timeout": timeout, "trust_env": False}
