"""Embedding models on an Ollama server, and whether it can serve a model at all."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading.errors import InvalidValue, ModelUnreachable

if TYPE_CHECKING:
    from langchain_ollama import OllamaEmbeddings

_MAX_LIST_SECONDS = (
    2.0  # a server that needs longer to list its models is too slow to answer within its limit
)


@dataclass(frozen=True, slots=True)
class OllamaSettings:
    base_url: str
    chat_model: str
    embedding_model: str
    timeout_seconds: float  # for a whole response

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise InvalidValue(f"base_url must begin with http:// or https://, not {self.base_url!r}")
        for name in ("chat_model", "embedding_model"):
            if not getattr(self, name).strip():
                raise InvalidValue(f"{name} must name an Ollama model, for example `qwen2.5:7b`")
        if not (math.isfinite(self.timeout_seconds) and self.timeout_seconds > 0):
            raise InvalidValue(f"timeout_seconds must be a finite number above 0, not {self.timeout_seconds}")


def ollama_is_running(base_url: str, timeout: float) -> bool:
    """Ask once, for at most about `timeout` seconds; anything but a list of models counts as not running."""
    return _list_models(base_url, timeout) is not None


def embedding_model(settings: OllamaSettings) -> "OllamaEmbeddings":
    from langchain_ollama import OllamaEmbeddings

    return OllamaEmbeddings(
        model=settings.embedding_model,
        base_url=settings.base_url,
        client_kwargs=_client_options(settings.timeout_seconds),
    )


def should_use_ollama(settings: OllamaSettings, model: str, preference: str) -> bool:
    """Return whether Ollama can serve `model` and the preference is `auto` or `ollama`.

    Raises ModelUnreachable when the preference is `ollama` and it cannot serve the model.
    """
    if preference not in ("auto", "ollama"):
        return False
    problem = _find_problem(settings, model)
    if problem and preference == "ollama":
        raise ModelUnreachable(problem)
    return not problem


def _find_problem(settings: OllamaSettings, model: str) -> str:
    """Say why Ollama cannot serve the model, and what to do; empty when it can."""
    installed = _list_models(settings.base_url, min(_MAX_LIST_SECONDS, settings.timeout_seconds))
    if installed is None:
        return (
            f"Ollama does not answer at {settings.base_url}: "
            f"start it with `ollama serve`, then `ollama pull {model}`"
        )
    if installed.isdisjoint({model, f"{model}:latest"}):
        return f"Ollama at {settings.base_url} does not have {model}: `ollama pull {model}`"
    return ""


def _list_models(base_url: str, timeout: float) -> set[str] | None:
    """Names of the models that Ollama has, None when the response is not one of Ollama."""
    import httpx

    try:
        response = httpx.get(f"{base_url.rstrip('/')}/api/tags", timeout=timeout, trust_env=False)
        return {model["name"] for model in response.raise_for_status().json()["models"]}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


def _client_options(timeout: float) -> dict[str, Any]:
    """Ignore the proxy variables of the environment: the configured address is the one to connect to."""
    return {"timeout": timeout, "trust_env": False}
