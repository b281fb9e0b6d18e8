"""Clients of models that say what a test wrote down: the client is the real one, only the vendor's SDK is not there."""

from collections.abc import Callable, Sequence
from threading import BoundedSemaphore
from typing import Any, TypeVar

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel

from ml.models.breaker import CircuitBreaker
from ml.models.client import Line, ModelClient
from ml.models.prices import FREE, TokenPrice
from ml.models.specification import ModelSpec, Provider
from tests.doubles.stores import MemoryModelCalls
from trading.ports.model_calls import ModelCalls

Schema = TypeVar("Schema", bound=BaseModel)
SPEC = ModelSpec(Provider.OPENAI, "scripted")


def used(content: str, read: int, written: int, **metadata: Any) -> AIMessage:
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    return AIMessage(content=content, usage_metadata=usage, response_metadata=metadata)


class Script:
    """Says each line once, in turn, and the last one for ever; an exception is raised, a function called."""

    def __init__(self, *lines: str | AIMessage | Exception | Callable[[], Any]) -> None:
        self.lines = list(lines)
        self.asked: list[list[tuple[str, str]]] = []

    def __call__(self, messages: Sequence[tuple[str, str]]) -> Any:
        self.asked.append(list(messages))
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, Exception):
            raise line
        if isinstance(line, str):
            return AIMessage(content=line)
        return line if isinstance(line, AIMessage) else line()


def client_of(
    chat: Callable[[Sequence[tuple[str, str]]], Any],
    schema: type[Schema],
    *,
    calls: ModelCalls | None = None,
    price: TokenPrice = FREE,
    ceiling_usd: float | None = None,
    seconds: float = 60.0,
    at_once: int = 4,
    breaker: CircuitBreaker | None = None,
    spec: ModelSpec = SPEC,
    secret: str = "",
) -> ModelClient[Schema]:
    return ModelClient(
        spec=spec,
        name=spec.name,
        schema=schema,
        chat=chat,
        calls=MemoryModelCalls() if calls is None else calls,
        line=Line(breaker or CircuitBreaker(3, 60.0), BoundedSemaphore(at_once)),
        price=price,
        ceiling_usd=None if ceiling_usd is None else lambda: ceiling_usd,
        seconds=seconds,
        at_once=at_once,
        secret=secret,
    )
