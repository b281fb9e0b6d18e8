"""The market monitor: a language model reads the system's state and tells a person what stands out. It changes nothing.

Its words are shown and no rule reads them. It may ask for one of three runs, none of which sends an order.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from ml.agents.judgements import Judgement, judged, reading_of
from ml.agents.prompts import monitor_prompt
from ml.models.client import ModelClient

AGENT = "monitor"
MIN_OUTPUT_TOKENS = 500
MAX_FACTS = 24_000  # characters of the state that are told
Run = Literal["news", "market_setup", "judging"]


class Insight(BaseModel):
    """What the prompt asks for; every field is required."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    severity: Literal["info", "warning"]  # errors are what rules find
    headline: Annotated[str, Field(min_length=1, max_length=200)]
    insight: Annotated[str, Field(min_length=1, max_length=1000)]
    run: Run | None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the state: `insight` None where the model gave none of use, and the judgement says why."""

    judgement: Judgement
    insight: Insight | None
    problem: str


class Monitor:
    """`client` builds the model's client when it is first asked; raises as it does where the model lacks something."""

    def __init__(self, client: Callable[[], ModelClient[Insight]]) -> None:
        self._build = client
        self._client: ModelClient[Insight] | None = None

    def look(self, state: Mapping[str, Any]) -> Look:
        self._client = self._client or self._build()
        prompt = monitor_prompt()
        judgement = judged(AGENT, prompt, self._client.ask(prompt, state_text(state)))
        reading = reading_of(judgement, Insight)
        return Look(judgement, reading.value, reading.problem)


def state_text(state: Mapping[str, Any]) -> str:
    """Return the state as JSON of bounded length; what was cut off is said."""
    text = orjson.dumps(dict(state), option=orjson.OPT_SORT_KEYS, default=str).decode()
    return text if len(text) <= MAX_FACTS else f"{text[:MAX_FACTS]} ... (cut off)"


def fingerprint(state: Mapping[str, Any], passing: tuple[str, ...]) -> str:
    """Return a digest of the state without what passes by itself, such as the time: equal ones need no second look."""
    lasting = {name: value for name, value in state.items() if name not in passing}
    return hashlib.sha256(state_text(lasting).encode()).hexdigest()[:16]
