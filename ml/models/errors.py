"""Errors of model clients, translated into the project's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from trading.errors import ModelUnreachable


@contextmanager
def translate_client_errors(model: str) -> Iterator[None]:
    """Raise ModelUnreachable in place of a client's error: refused, timed out, model unknown, broken response.

    Wrap the call alone: any ValueError inside (broken JSON, a response of the wrong shape) counts as that.
    """
    import httpx
    import ollama

    try:
        yield
    except (httpx.HTTPError, ollama.ResponseError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ModelUnreachable(f"{model} did not answer: {reason}") from error
