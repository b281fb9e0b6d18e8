"""The choice of the sentiment model: a chat model on Ollama, or the finance lexicon."""

from typing import TYPE_CHECKING, Literal

from ml.models.ollama import OllamaSettings, chat_model, should_use_ollama

if TYPE_CHECKING:
    from ml.sentiment.pair import SentimentModel


def choose_sentiment_model(
    settings: OllamaSettings, preference: Literal["auto", "ollama", "lexicon"]
) -> "SentimentModel":
    """Return the preferred model; `auto` takes the lexicon where Ollama cannot serve.

    Raises ModelUnreachable when Ollama is asked for by name and cannot serve.
    """
    if should_use_ollama(settings, settings.chat_model, preference):
        from ml.sentiment.language_model import LOCAL_PRICE, LanguageModelSentiment, SentimentAnswer

        chat = chat_model(settings, SentimentAnswer.model_json_schema())
        return LanguageModelSentiment(chat, f"ollama/{settings.chat_model}", LOCAL_PRICE)
    from ml.sentiment.lexicon import LexiconSentiment

    return LexiconSentiment()
