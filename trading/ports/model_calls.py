"""Protocol of the record of calls of language models: audit record, cache of answers, and ledger of their cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

LATENCY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds, upper bounds


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What is about to be sent. `key` is the SHA-256 of model, messages and parameters: equal calls have equal keys."""

    key: str
    purpose: str  # what is asked, such as headline-sentiment
    provider: str
    model: str  # as results name it
    prompt_hash: str
    request: Mapping[str, Any]  # messages and parameters; never a key
    attempt: int  # 1, or 2: the repair
    estimated_usd: float  # what it costs at most, before the tokens are known


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """What came of a call. `answer` is what the provider sent; None where nothing came that can be read."""

    outcome: str
    answer: Mapping[str, Any] | None
    detail: str  # what was wrong with it, in words; empty when nothing was
    input_tokens: int
    output_tokens: int
    usd: float
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """All calls of one model with one outcome since the record began."""

    provider: str
    model: str
    purpose: str
    outcome: str
    calls: int
    reused: int  # times that an answer was taken from the record in place of a call
    input_tokens: int
    output_tokens: int
    usd: float
    seconds: float
    within: tuple[int, ...]  # calls that took no longer than each of LATENCY_BUCKETS


class ModelCalls(Protocol):
    """Every call is committed before it is made, with its highest price; days are UTC by the store's own clock."""

    def begin(self, call: ModelCall, ceiling_usd: float | None) -> int | None:
        """Record that the call is made, and return its number.

        None, and nothing is recorded, where the day's calls would then cost more than `ceiling_usd` together; calls
        without a known cost count with their estimate. A ceiling of None allows every call.
        """

    def finish(self, number: int, response: ModelResponse) -> None:
        """Record what came of it; the real cost takes the place of the estimate."""

    def answer(self, key: str) -> ModelResponse | None:
        """Return the newest answer to an equal call, and count that it was used again; None where none is recorded."""

    def spent_today(self) -> float:
        """Return the USD of this UTC day's calls, those that are still open with their estimate."""

    def usage(self) -> list[ModelUsage]:
        """Return the totals by provider, model, purpose and outcome, in this order."""
