"""One place where the errors of model clients become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from trading.errors import ModelUnreachable


@contextmanager
def answering(model: str) -> Iterator[None]:
    """ModelUnreachable in place of what a client raises: refused, timed out, model unknown, broken answer.

    Wrap the call alone: any ValueError inside (broken JSON, an answer of the wrong shape) counts as that.
    """
    import httpx
    import ollama

    try:
        yield
    except (httpx.HTTPError, ollama.ResponseError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ModelUnreachable(f"{model} did not answer: {reason}") from error
