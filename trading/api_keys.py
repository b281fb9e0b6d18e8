"""State that all processes and machines with one API key share: its nonces and its rate counters."""

import math
from dataclasses import dataclass
from typing import Protocol

from trading.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Charge:
    """The cost of a call to one rate counter of a key. InvalidValue for a cost that never fits under the ceiling."""

    counter: str
    cost: float
    ceiling: float  # the highest level that the call may lead to
    decay: float  # of the counter, per second

    def __post_init__(self) -> None:
        if not (0 <= self.cost <= self.ceiling < math.inf and 0 < self.decay < math.inf):
            raise InvalidValue(
                f"a call that costs {self.cost} never fits under {self.ceiling}, less {self.decay} a second"
            )

    def wait(self, level: float) -> float:
        """Return the seconds until the cost fits, where the counter stands at `level`; 0 or less: it fits."""
        return (level + self.cost - self.ceiling) / self.decay


@dataclass(frozen=True, slots=True)
class Permit:
    """The nonce of a call whose cost was charged, or how long its caller has to wait before it asks again."""

    nonce: int | None
    wait: float = 0.0  # seconds; above 0 without a nonce


class KeyState(Protocol):
    """Nonces and rate counters by the fingerprint of a key; a key itself is never stored.

    Every method is one short transaction on one clock for all callers: nothing is locked while a caller waits. Raises
    StoreUnreachable when the state cannot be reached: nothing may be sent then.
    """

    def next_nonce(self, key: str) -> int:
        """Return a number above every earlier one: microseconds since 1970, or one more than the last."""

    def spend(self, key: str, charge: Charge) -> Permit:
        """Charge the cost and give a nonce if the cost fits now; else charge nothing and say how long to wait."""

    def exhaust(self, key: str, counter: str, level: float) -> None:
        """Set the counter to `level`: the venue refused a call, so others spend from the same budget."""

    def level(self, key: str, counter: str, decay: float) -> float:
        """Return how high the counter stands now; 0 for one that was never charged."""
