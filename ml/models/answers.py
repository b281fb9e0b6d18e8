"""From what a provider sent to a validated value: thinking is cut out, one JSON object is read, all else is refused."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

Schema = TypeVar("Schema", bound=BaseModel)

ANSWER = "answer"  # the name of schema and function: it says nothing that could sway a model
MAX_CHARACTERS = 65_536  # of an answer; the flat schemas need a few hundred
MIN_LATIN = 0.8  # share of a prose field's letters, for an answer in English
_PROSE_LETTERS = 2000  # that are looked at
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought|reasoning|analysis)>", re.IGNORECASE)
_CALLS = ("tool_calls", "invalid_tool_calls")  # of a LangChain message
_NUL = r"\u0000"  # as JSON writes it
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.IGNORECASE | re.DOTALL)
_CUT_OFF = ("length", "max_tokens")  # OpenAI and Ollama; Anthropic


class Outcome(StrEnum):
    """How a question ended. The first is an answer, the next four are abstentions, the others failures."""

    VALID = "valid"
    INVALID = "invalid"  # not one object of the schema
    EMPTY = "empty"
    TRUNCATED = "truncated"  # the limit of tokens came before the end
    WRONG_LANGUAGE = "wrong language"
    REFUSED = "refused"  # the provider does not take the request: key, model name, content
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BREAKER = "circuit breaker"  # not asked: it has failed in a row
    BUDGET = "budget"  # not asked: it would cost more than the day has left
    NO_PLACE = "no place"  # not asked: earlier calls of its address have not returned

    @property
    def is_abstention(self) -> bool:
        """The model answered, and its answer cannot be used."""
        return self in (Outcome.INVALID, Outcome.EMPTY, Outcome.TRUNCATED, Outcome.WRONG_LANGUAGE)


@dataclass(frozen=True, slots=True)
class Reading(Generic[Schema]):
    """`value` is None unless the outcome is VALID; `problem` then says why, for the repair and for a person."""

    outcome: Outcome
    value: Schema | None = None
    problem: str = ""


def raw_answer(message: Any) -> dict[str, Any]:
    """Return the parts of a LangChain message that an answer is read from, as plain JSON values."""
    metadata = getattr(message, "response_metadata", None)
    metadata = metadata if isinstance(metadata, Mapping) else {}
    finish = next(
        (metadata[name] for name in ("finish_reason", "done_reason", "stop_reason") if metadata.get(name)), ""
    )
    calls = [_argument(each) for name in _CALLS for each in _list(getattr(message, name, None))]
    return {
        "text": storable(_text(getattr(message, "content", ""))),
        "calls": [storable(each) for each in calls],
        "finish": storable(str(finish)),
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _argument(call: Any) -> str:
    """Return what stands in the function's argument; words that are no JSON for a call of anything else."""
    if not isinstance(call, Mapping) or call.get("name") != ANSWER:
        return "another function was called"
    argument = call.get("args")
    try:
        return argument if isinstance(argument, str) else json.dumps(argument)
    except (TypeError, ValueError, RecursionError):
        return "its argument is not JSON"


def _text(content: Any) -> str:
    """Join the text of a message's blocks; blocks of thinking are none of it."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [
        block if isinstance(block, str) else block.get("text")
        for block in content
        if isinstance(block, str) or (isinstance(block, Mapping) and block.get("type") == "text")
    ]
    return "".join(each for each in parts if isinstance(each, str))


def storable(text: str) -> str:
    """Return the text without what neither UTF-8 nor PostgreSQL can hold, and no longer than an answer may be."""
    return text[: MAX_CHARACTERS + 1].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def without_thinking(text: str) -> str:
    """Return what follows the last block of thinking; nothing where that was never closed."""
    end, begin = _thinking(text)
    return text[end:begin].strip()


def _thinking(text: str) -> tuple[int, int | None]:
    """Return where the last closed block ends, and where one begins behind it that was never closed."""
    end, begin = 0, None
    for tag in _THINKING.finditer(text):
        if tag[1]:
            end, begin = tag.end(), None
        elif begin is None:
            begin = tag.start()
    return end, begin


def read_answer(raw: Mapping[str, Any], schema: type[Schema]) -> Reading[Schema]:
    """Validate one answer. It never raises: whatever was sent, a value comes out or the reason why none does."""
    try:
        return _read(raw, schema)
    except Exception as error:  # nothing that a model writes may end a decision
        return Reading(Outcome.INVALID, problem=f"the answer cannot be read: {type(error).__name__}")


def _read(raw: Mapping[str, Any], schema: type[Schema]) -> Reading[Schema]:
    calls, is_cut_off = raw["calls"], raw["finish"] in _CUT_OFF
    if len(calls) > 1:
        return Reading(Outcome.INVALID, problem=f"{len(calls)} answers were given in place of one")
    text = calls[0].strip() if calls else without_thinking(raw["text"])
    if text and not calls and _thinking(raw["text"])[1] is not None:  # it had begun to think better of it
        outcome = Outcome.TRUNCATED if is_cut_off else Outcome.INVALID
        return Reading(outcome, problem="it goes on thinking after the answer, and does not end")
    if not text:
        if is_cut_off:
            return Reading(Outcome.TRUNCATED, problem="the answer ended before it began")
        return Reading(Outcome.EMPTY, problem="the answer is empty")
    if len(text) > MAX_CHARACTERS:
        return Reading(Outcome.INVALID, problem=f"the answer is longer than {MAX_CHARACTERS} characters")
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    try:
        _check_json(text)
        value = schema.model_validate_json(text)
    except ValidationError as error:
        return Reading(Outcome.TRUNCATED if is_cut_off else Outcome.INVALID, problem=_faults(error))
    except (ValueError, RecursionError) as error:
        outcome = Outcome.TRUNCATED if is_cut_off else Outcome.INVALID
        return Reading(outcome, problem=f"the answer is not one JSON object: {str(error)[:200]}")
    if _NUL in value.model_dump_json():  # written as an escape: no table can hold it, and nobody means it
        return Reading(Outcome.INVALID, problem="a text holds the character U+0000")
    if foreign := _foreign_field(value):
        return Reading(Outcome.WRONG_LANGUAGE, problem=f"{foreign} is not written in English")
    return Reading(Outcome.VALID, value)


def _check_json(text: str) -> None:
    """Refuse what parsers read differently: a key twice, NaN, anything but one object."""
    if not isinstance(json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant), dict):
        raise ValueError("it is another value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _faults(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the object'}: {each['msg']}"[:200] for each in details
    )


def _foreign_field(value: BaseModel) -> str:
    """Name the first prose field whose letters are mostly not Latin; empty without one. Short words are no prose."""
    for name, text in value:
        if isinstance(text, str):
            letters = [each for each in text[:_PROSE_LETTERS] if each.isalpha()]
            latin = sum(unicodedata.name(each, "").startswith("LATIN") for each in letters)
            if letters and latin < MIN_LATIN * len(letters):
                return name
    return ""
