"""What went wrong in a client of a language model: one outcome and one line for whatever its SDK raised."""

from collections.abc import Mapping
from typing import Any

from ml.models.answers import Outcome

MAX_DETAIL = 300  # characters
_LATER = (408, 409, 425, 429)  # HTTP statuses that say nothing against the request itself


class TookTooLong(Exception):
    """The call did not return in time."""


def outcome_of(error: BaseException) -> Outcome:
    """Classify an error by what all SDKs have in common: its class name and its HTTP status."""
    name = type(error).__name__
    if name == "LengthFinishReasonError":  # of OpenAI's SDK, which does not return a cut off answer
        return Outcome.TRUNCATED
    if name == "ContentFilterFinishReasonError":
        return Outcome.REFUSED
    if isinstance(error, TookTooLong | TimeoutError) or "Timeout" in name:
        return Outcome.TIMEOUT
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500 and status not in _LATER:
        return Outcome.REFUSED
    return Outcome.UNREACHABLE


def detail_of(error: BaseException, secret: str = "") -> str:
    """Return its message in one line; the key, which some vendors quote, is not in it."""
    words = " ".join((str(error) or type(error).__name__).split())
    if secret:
        words = words.replace(secret, "***")
    return words[:MAX_DETAIL]


def usage_of(message: Any) -> tuple[int, int] | None:
    """Return the tokens read and written of a message, or of an error that carries the answer; None: not said."""
    usage = getattr(message, "usage_metadata", None)
    if isinstance(usage, Mapping) and usage:
        return _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    billed = getattr(getattr(message, "completion", None), "usage", None)
    if billed is not None:
        return _count(getattr(billed, "prompt_tokens", 0)), _count(getattr(billed, "completion_tokens", 0))
    return None


def _count(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0
