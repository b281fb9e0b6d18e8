"""All model clients of a process: they share the record, the budget, and per address the breaker and the places."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from threading import BoundedSemaphore, Lock
from typing import TypeVar

from pydantic import BaseModel

from ml.models.breaker import CircuitBreaker
from ml.models.budget import BudgetLadder
from ml.models.client import Line, ModelClient
from ml.models.prices import FREE, DatedPrice, price_of
from ml.models.providers import api_key, build_chat
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider
from trading.ports.model_calls import ModelCalls

Schema = TypeVar("Schema", bound=BaseModel)


@dataclass
class ModelClients:
    calls: ModelCalls
    rules: ClientRules
    ladder: BudgetLadder
    prices: Sequence[DatedPrice]
    environment: Mapping[str, str]  # with the keys
    today: Callable[[], date]
    monotonic: Callable[[], float] = time.monotonic
    _lines: dict[str, Line] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def client(
        self,
        spec: ModelSpec,
        schema: type[Schema],
        *,
        rank: Callable[[], int] = lambda: 0,
        seconds: float | None = None,
    ) -> ModelClient[Schema]:
        """Build the client of a model; nothing is asked yet. `rank` gives its place among those asked side by side.

        `seconds` None: those of the rules. Raises InvalidSettings without its packages or its price, NotAuthorised
        without its key, InvalidModel for a local file that is none.
        """
        key, price = api_key(spec, self.environment), price_of(spec, self.prices, self.today())
        limit = seconds or self.rules.seconds
        return ModelClient(
            spec=spec,
            name=spec.name,
            schema=schema,
            chat=build_chat(spec, schema.model_json_schema(), limit, key),
            calls=self.calls,
            line=self._line(spec),
            price=price,
            ceiling_usd=None if price == FREE else lambda: self.ladder.ceiling(rank()),
            seconds=limit,
            at_once=self._at_once(spec),
            secret=key,
            monotonic=self.monotonic,
        )

    def times_at_once(self, specs: Sequence[ModelSpec]) -> int:
        """Return how many times over all of these can be asked at once, each within its address's calls; 1 at least."""
        asked = Counter(map(_address, specs))
        return max(1, min((self._at_once(each) // asked[_address(each)] for each in specs), default=1))

    def _line(self, spec: ModelSpec) -> Line:
        rules = self.rules
        with self._lock:
            return self._lines.setdefault(
                _address(spec),
                Line(
                    CircuitBreaker(rules.failures, rules.pause_seconds, self.monotonic),
                    BoundedSemaphore(self._at_once(spec)),
                ),
            )

    def _at_once(self, spec: ModelSpec) -> int:
        """Return 1 for an engine on this machine: it answers one by one, and waiting in its queue would cost time."""
        return 1 if spec.provider in (Provider.OLLAMA, Provider.LOCAL) else self.rules.at_once


def _address(spec: ModelSpec) -> str:
    return f"{spec.provider} {spec.base_url or spec.model}"
