"""How long to wait before connecting again."""

from dataclasses import dataclass
from random import Random

from streaming.feeds import ConnectionRules

MAX_INSTANT_RETRIES = 3  # without a pause after a drop, unless the venue asks for STRICT_PAUSE or more
STRICT_PAUSE = 1.0  # seconds; a venue that wants such a first pause wants it before each attempt
STABLE_LIFETIME = 60.0  # seconds: a connection that lived so long was a good one
MAX_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt to connect ended. `lifetime` and `minimum_pause`, which the venue asked for, are seconds."""

    opened: bool
    lifetime: float = 0.0
    maintenance: bool = False
    minimum_pause: float = 0.0


class Backoff:
    """The pauses of one session: none after the first drops, then longer and longer until a connection lives."""

    def __init__(self, rules: ConnectionRules, random: Random) -> None:
        self._rules = rules
        self._random = random
        self._failures = 0

    def pause(self, result: AttemptResult) -> float:
        """Return the seconds to wait before the next attempt: full jitter, so that a crowd does not return at once."""
        if result.lifetime >= STABLE_LIFETIME:
            self._failures = 0
        self._failures += 1
        first = self._rules.first_pause.total_seconds()
        minimum = max(result.minimum_pause, first if first >= STRICT_PAUSE else 0.0)
        if result.maintenance:
            minimum = max(minimum, self._rules.maintenance_pause.total_seconds())
        if result.opened and not minimum and self._failures <= MAX_INSTANT_RETRIES:
            return 0.0
        doubled = first * 2 ** min(self._failures - 1, MAX_DOUBLINGS)
        return minimum + self._random.uniform(0, min(doubled, self._rules.max_pause.total_seconds()))
