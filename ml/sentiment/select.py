"""The choice of the sentiment model: a chat model of the settings, Ollama, the packaged classifier, or the lexicon."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ml.models.ollama import OllamaSettings, should_use_ollama
from ml.models.specification import ModelSpec, Provider

if TYPE_CHECKING:
    from ml.models.clients import ModelClients
    from ml.sentiment.pair import SentimentModel

PACKAGED_WEIGHTS = "packaged"


def choose_sentiment_model(
    ollama: OllamaSettings,
    preference: str,
    named: Mapping[str, ModelSpec],
    clients: "Callable[[], ModelClients]",
    weights: str = PACKAGED_WEIGHTS,
    simulated: bool = False,
) -> "SentimentModel":
    """Return the preferred model: one of `named`, `ollama`, `classifier`, `lexicon`.

    Without Ollama `auto` takes the classifier with these `weights` (a file, or `packaged`), and for `simulated`
    headlines the lexicon, which knows their few phrases: the classifier learnt from real ones.

    Raises ModelUnreachable when Ollama is asked for by name and cannot serve, and what `ModelClients.client` raises
    when a named one lacks its packages, key or price.
    """
    if preference in named:
        return _language_model(named[preference], clients(), None)
    if should_use_ollama(ollama, ollama.chat_model, preference):
        spec = ModelSpec(Provider.OLLAMA, ollama.chat_model, base_url=ollama.base_url)
        return _language_model(spec, clients(), ollama.timeout_seconds)
    if preference == "lexicon" or (preference == "auto" and simulated):
        from ml.sentiment.lexicon import LexiconSentiment

        return LexiconSentiment()
    from ml.sentiment.classifier import ClassifierSentiment

    return ClassifierSentiment() if weights == PACKAGED_WEIGHTS else ClassifierSentiment(Path(weights))


def _language_model(spec: ModelSpec, clients: "ModelClients", seconds: float | None) -> "SentimentModel":
    from ml.sentiment.language_model import LanguageModelSentiment, SentimentAnswer

    return LanguageModelSentiment(clients.client(spec, SentimentAnswer, seconds=seconds))
