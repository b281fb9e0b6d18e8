"""The client of one chat model: a question in, a validated answer or the reason why there is none. It never raises
for what a model or its provider does."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import BoundedSemaphore, Event, Thread
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel

from ml.models.answers import Outcome, Reading, raw_answer, read_answer, storable
from ml.models.breaker import CircuitBreaker
from ml.models.failures import TookTooLong, detail_of, outcome_of, usage_of
from ml.models.prices import TokenPrice
from ml.models.prompt_files import Prompt
from ml.models.providers import SEED, Chat, Messages
from ml.models.specification import ModelSpec
from trading.ports.model_calls import ModelCall, ModelCalls, ModelResponse

Schema = TypeVar("Schema", bound=BaseModel)

REPAIR = (
    "That answer cannot be used: {problem}. Answer the first message again, with one JSON object that has exactly the "
    "fields asked for, in English, and nothing else."
)
MAX_QUOTED = 2000  # characters of a wrong answer that the repair shows
ATTEMPTS = 2
MIN_REPAIR_SECONDS = 0.2  # with less left of the time limit no repair is tried


@dataclass(frozen=True, slots=True)
class Answer(Generic[Schema]):
    """`value` is None unless the outcome is VALID. Cost and tokens are of this question, with failed attempts."""

    outcome: Outcome
    value: Schema | None
    problem: str
    model: str
    prompt_hash: str
    cost_usd: float = 0.0
    tokens: int = 0
    reused: bool = False  # every attempt came from the record: nothing was asked or paid
    # What the provider sent last, as `read_answer` reads it; None where nothing came that can be read.
    raw: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Line:
    """What all clients of one address share in this process."""

    breaker: CircuitBreaker
    places: BoundedSemaphore  # calls at once


@dataclass(frozen=True)
class ModelClient(Generic[Schema]):
    """`ceiling_usd` gives what a day may have cost after a paid call; None for a model that costs nothing."""

    spec: ModelSpec
    name: str
    schema: type[Schema]
    chat: Chat
    calls: ModelCalls
    line: Line
    price: TokenPrice
    ceiling_usd: Callable[[], float] | None
    seconds: float  # for a question, its repair included
    at_once: int
    secret: str = ""  # never shown
    monotonic: Callable[[], float] = time.monotonic

    def ask_all(self, prompt: Prompt, texts: Sequence[str]) -> list[Answer[Schema]]:
        """Ask about every text, several at once; the answers are in the order of the texts."""
        if len(texts) < 2:
            return [self.ask(prompt, text) for text in texts]
        with ThreadPoolExecutor(min(self.at_once, len(texts)), thread_name_prefix="model") as pool:
            return list(pool.map(lambda text: self.ask(prompt, text), texts))

    def ask(self, prompt: Prompt, text: str) -> Answer[Schema]:
        """Ask once, and once more with what was wrong where the answer cannot be used."""
        messages = [("system", prompt.text), ("user", storable(text))]
        deadline = self.monotonic() + self.seconds
        so_far: Answer[Schema] = Answer(Outcome.EMPTY, None, "", self.name, prompt.hash, reused=True)
        for attempt in range(1, ATTEMPTS + 1):
            reading, response, is_reused = self._attempt(messages, prompt, attempt, deadline)
            so_far = replace(
                so_far,
                outcome=reading.outcome,
                value=reading.value,
                problem=reading.problem,
                cost_usd=so_far.cost_usd + (0.0 if is_reused else response.usd),
                tokens=so_far.tokens + response.input_tokens + response.output_tokens,
                reused=so_far.reused and is_reused,
                raw=response.answer,
            )
            if not reading.outcome.is_abstention or deadline - self.monotonic() < MIN_REPAIR_SECONDS:
                break
            messages = [*messages, *_repair(response, reading)]
        return so_far

    def _attempt(
        self, messages: Messages, prompt: Prompt, attempt: int, deadline: float
    ) -> tuple[Reading[Schema], ModelResponse, bool]:
        """Take the answer from the record, or ask. Returns whether it was taken from there last."""
        call = self._call(messages, prompt, attempt)
        if (known := self.calls.answer(call.key)) is not None:
            return self._read(known), known, True
        if not self.line.breaker.admits():
            return *_not_asked(Outcome.BREAKER, f"{self.name} failed several times in a row"), False
        if not self._take_place(deadline):
            # Nothing was sent: it costs nothing, and says nothing about the address.
            why = f"{self.name}: no place among the calls at once within {self.seconds:g} s"
            return *_not_asked(Outcome.NO_PLACE, why), False
        number = None
        try:
            number = self.calls.begin(call, self.ceiling_usd and self.ceiling_usd())
        finally:
            if number is None:
                self.line.places.release()
        if number is None:
            return *_not_asked(Outcome.BUDGET, "the daily budget of language models is spent"), False
        response = self._send(messages, call, deadline)
        self.calls.finish(number, response)
        return self._read(response), response, False

    def _take_place(self, deadline: float) -> bool:
        """Wait for a place among the calls at once; False where the time is over before one is free."""
        if not self.line.places.acquire(timeout=max(0.0, deadline - self.monotonic())):
            return False
        if self.monotonic() < deadline:
            return True
        self.line.places.release()
        return False

    def _call(self, messages: Messages, prompt: Prompt, attempt: int) -> ModelCall:
        request = {
            "messages": [list(each) for each in messages],
            "parameters": {
                "structure": str(self.spec.means),
                "schema": self.schema.model_json_schema(),
                "temperature": self.spec.temperature,
                "max_output_tokens": self.spec.max_output_tokens,
                "seed": SEED,
            },
        }
        where = {"address": self.spec.address} if self.spec.address else {}
        identity = orjson.dumps({"model": self.name, **where, **request}, option=orjson.OPT_SORT_KEYS)
        return ModelCall(
            key=hashlib.sha256(identity).hexdigest(),
            purpose=prompt.name,
            provider=str(self.spec.provider),
            model=self.name,
            prompt_hash=prompt.hash,
            request=request,
            attempt=attempt,
            estimated_usd=self.price.estimate(identity, self.spec.max_output_tokens),
        )

    def _send(self, messages: Messages, call: ModelCall, deadline: float) -> ModelResponse:
        """Call the model within the deadline. What cannot be known to be free is booked with its estimate."""
        began = self.monotonic()
        try:
            message = self._within(messages, deadline)
        except Exception as error:  # whatever an SDK raises: nothing that a provider does may end a decision
            return self._failed(error, call, self.monotonic() - began)
        self.line.breaker.succeeded()
        raw, usage = raw_answer(message), usage_of(message)
        read, written = usage or (0, 0)
        reading = read_answer(raw, self.schema)
        return ModelResponse(
            outcome=str(reading.outcome),
            # An empty answer is often a fault of the moment: it is not used again.
            answer=None if reading.outcome is Outcome.EMPTY else raw,
            detail=reading.problem,
            input_tokens=read,
            output_tokens=written,
            usd=call.estimated_usd if usage is None else self.price.cost(read, written),
            seconds=self.monotonic() - began,
        )

    def _failed(self, error: Exception, call: ModelCall, seconds: float) -> ModelResponse:
        outcome, usage = outcome_of(error), usage_of(error)
        if outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE):
            self.line.breaker.failed()
        else:
            self.line.breaker.succeeded()
        read, written = usage or (0, 0)
        may_be_billed = outcome in (Outcome.TIMEOUT, Outcome.TRUNCATED)
        unknown = call.estimated_usd if may_be_billed else 0.0
        return ModelResponse(
            outcome=str(outcome),
            answer=None,
            detail=detail_of(error, self.secret),
            input_tokens=read,
            output_tokens=written,
            usd=unknown if usage is None else self.price.cost(read, written),
            seconds=seconds,
        )

    def _read(self, response: ModelResponse) -> Reading[Schema]:
        if response.answer is None:
            return Reading(Outcome(response.outcome), problem=response.detail)
        return read_answer(response.answer, self.schema)

    def _within(self, messages: Messages, deadline: float) -> Any:
        """Call in a thread of its own: clients count their limits per read, so that a slow drip would pass them.

        A call that does not return keeps its place until it does: so few threads hang at once, and none keeps the
        process from ending. The place was taken before.
        """
        done, found = Event(), dict[str, Any]()

        def call() -> None:
            try:
                found["message"] = self.chat(messages)
            except BaseException as error:
                found["error"] = error
            finally:
                self.line.places.release()
                done.set()

        Thread(target=call, daemon=True, name=f"model {self.name}").start()
        if not done.wait(max(0.0, deadline - self.monotonic())):
            raise TookTooLong(f"{self.name} did not answer within {self.seconds:g} s")
        if "error" in found:
            raise _as_exception(found["error"])
        return found["message"]


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")


def _not_asked(outcome: Outcome, problem: str) -> tuple[Reading[Any], ModelResponse]:
    return Reading(outcome, problem=problem), ModelResponse(str(outcome), None, problem, 0, 0, 0.0, 0.0)


def _repair(response: ModelResponse, reading: Reading[Any]) -> Messages:
    """Show the model its answer and what is wrong with it; an answer that is not there is not shown."""
    answer: Mapping[str, Any] = response.answer or {}
    shown = (answer.get("calls") or [answer.get("text", "")])[0][:MAX_QUOTED].strip()
    request = ("user", REPAIR.format(problem=reading.problem))
    return [("assistant", shown), request] if shown else [request]
