"""The choice of the embedding model: one on Ollama, or the packaged one."""

from functools import cache
from typing import TYPE_CHECKING, Literal

from ml.models.ollama import OllamaSettings, embedding_model, should_use_ollama

if TYPE_CHECKING:
    from ml.news.embeddings import Embedder


def choose_embedder(
    settings: OllamaSettings, preference: Literal["auto", "ollama", "packaged"]
) -> "Embedder":
    """Return the preferred embedder; `auto` takes the packaged one where Ollama cannot serve.

    Raises ModelUnreachable when Ollama is asked for by name and cannot serve.
    """
    if should_use_ollama(settings, settings.embedding_model, preference):
        from ml.news.embeddings import OllamaEmbedder

        return OllamaEmbedder(embedding_model(settings), f"ollama/{settings.embedding_model}")
    return _packaged()


@cache
def _packaged() -> "Embedder":
    """Load its weights once per process, however often a model is chosen."""
    from ml.news.minilm import PackagedMiniLM

    return PackagedMiniLM()
