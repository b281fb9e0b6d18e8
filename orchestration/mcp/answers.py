"""What a tool answers: plain JSON of bounded size; text that others wrote is cleaned, cut and marked as data."""

import json
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from mcp.server.mcpserver.exceptions import ToolError

from ml.text.visible import visible
from orchestration.commands.failures import failure_message
from orchestration.json_output import as_json_line

MAX_CHARACTERS = 100_000  # of an answer: some 30,000 tokens
MAX_TEXT = 4_000  # of one text from outside, or of a message
MARK = (
    f"data-{secrets.token_hex(4)}"  # another one in each process: no article can close what it does not know
)
P = ParamSpec("P")
T = TypeVar("T")


def answering(tool: Callable[P, Any]) -> Callable[P, dict[str, Any]]:
    """Turn what the tool returns into JSON values, and an expected failure into a message that says what to do."""

    @wraps(tool)
    def answer(*arguments: P.args, **named: P.kwargs) -> dict[str, Any]:
        return bounded(raising_advice(tool)(*arguments, **named))

    answer.__annotations__ = {**tool.__annotations__, "return": dict[str, Any]}
    return answer


def raising_advice(work: Callable[P, T], kind: type[Exception] = ToolError) -> Callable[P, T]:
    """Turn an expected failure into an error of the SDK, whose message a client shows; a bug stays one."""

    @wraps(work)
    def advised(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return work(*arguments, **named)
        except kind:
            raise
        except Exception as error:
            if (message := failure_message(error)) is None:
                raise
            raise kind(cleaned(message, MAX_TEXT)) from error

    return advised


def bounded(value: Any) -> dict[str, Any]:
    """Return the mapping as JSON knows it: decimals as text, times as RFC 3339, what is no finite number as null.

    ToolError where that is longer than any model should read at once.
    """
    line = as_json_line(value)
    if len(line) > MAX_CHARACTERS:
        raise ToolError(
            f"the answer has {len(line):,} characters, {MAX_CHARACTERS:,} are allowed: ask for fewer rows, fewer "
            "columns or a shorter time"
        )
    plain: dict[str, Any] = json.loads(line)
    return plain


def quoted(text: str, limit: int = MAX_TEXT) -> str:
    """Mark text that others wrote as data: between two marks, without invisible characters, cut at `limit`."""
    return f"<{MARK}>{cleaned(text, limit).replace(MARK, '[mark]')}</{MARK}>"


def cleaned(text: str, limit: int) -> str:
    """Remove invisible characters, and cut."""
    seen = visible(text, keep_lines=True)
    return seen if len(seen) <= limit else f"{seen[:limit]} [cut, {len(seen):,} characters]"
