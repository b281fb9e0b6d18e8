"""The choice of the sentiment model: a chat model of the settings, one on Ollama, or the finance lexicon."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ml.models.ollama import OllamaSettings, should_use_ollama
from ml.models.specification import ModelSpec, Provider

if TYPE_CHECKING:
    from ml.models.clients import ModelClients
    from ml.sentiment.pair import SentimentModel


def choose_sentiment_model(
    ollama: OllamaSettings,
    preference: str,
    named: Mapping[str, ModelSpec],
    clients: "Callable[[], ModelClients]",
) -> "SentimentModel":
    """Return the preferred model: one of `named`, `ollama`, `lexicon`; `auto` takes the lexicon without Ollama.

    Raises ModelUnreachable when Ollama is asked for by name and cannot serve, and what `ModelClients.client` raises
    when a named one lacks its packages, key or price.
    """
    if preference in named:
        return _language_model(named[preference], clients(), None)
    if should_use_ollama(ollama, ollama.chat_model, preference):
        spec = ModelSpec(Provider.OLLAMA, ollama.chat_model, base_url=ollama.base_url)
        return _language_model(spec, clients(), ollama.timeout_seconds)
    from ml.sentiment.lexicon import LexiconSentiment

    return LexiconSentiment()


def _language_model(spec: ModelSpec, clients: "ModelClients", seconds: float | None) -> "SentimentModel":
    from ml.sentiment.language_model import LanguageModelSentiment, SentimentAnswer

    return LanguageModelSentiment(clients.client(spec, SentimentAnswer, seconds=seconds))
