"""Limits of all clients of language models."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientRules:
    seconds: float = 10.0  # for a question, its repair included
    at_once: int = 4  # calls of one address
    failures: int = 3  # in a row that open the circuit breaker ...
    pause_seconds: float = 60.0  # ... for so long
