"""The rate budget of an address, counted together by all processes of one machine."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trading.errors import InvalidValue, RateLimited, UnreadableFile
from trading.orders import Purpose
from trading.venues.kraken.locked_file import LockedFile
from trading.venues.kraken.rate_limits import RateLimit

MIN_WAIT = 1e-6  # seconds; less is what rounding leaves of a wait


@dataclass(frozen=True, slots=True)
class Counter:
    """A rate counter that stood at `level` at the time `at`, in seconds since 1970."""

    level: float = 0.0
    at: float = 0.0

    def level_at(self, now: float, limit: RateLimit) -> float:
        """Return the level now. A clock that went back takes nothing away, until something is charged on it."""
        return max(0.0, self.level - limit.decay * max(0.0, now - self.at))

    def wait(self, cost: float, now: float, limit: RateLimit) -> float:
        """Return the seconds until `cost` fits under the maximum. InvalidValue for a cost that never does."""
        if cost > limit.maximum:
            raise InvalidValue(f"a call that costs {cost} never fits under {limit.maximum}")
        seconds = (self.level_at(now, limit) + cost - limit.maximum) / limit.decay
        return seconds if seconds > MIN_WAIT else 0.0

    def charge(self, cost: float, now: float, limit: RateLimit) -> "Counter":
        return Counter(self.level_at(now, limit) + cost, now)


class RateBudget:
    """Counters by name in one file. `spend` waits up to `patience` seconds for its turn."""

    def __init__(
        self,
        path: Path,
        patience: float = 30.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file = LockedFile(path)
        self._patience = patience
        self._clock = clock
        self._sleep = sleep

    @contextmanager
    def spending(
        self, name: str, limit: RateLimit, cost: float, purpose: Purpose = Purpose.EXIT
    ) -> Iterator[None]:
        """Charge the cost before the block; exhaust the budget when the block finds that the venue refuses calls."""
        self.spend(name, limit, cost, purpose)
        try:
            yield
        except RateLimited:
            self.exhaust(name, limit)
            raise

    def spend(self, name: str, limit: RateLimit, cost: float, purpose: Purpose = Purpose.EXIT) -> None:
        """Wait until the cost fits and charge it.

        RateLimited, charging nothing, when the wait would be longer than the patience that is left.
        """
        patience = self._patience
        while wait := self._try(name, limit, cost, purpose):
            if wait > patience:
                raise RateLimited(
                    f"Kraken's budget for {name} is spent: {wait:.1f} s until this call (cost {cost:g}) is allowed"
                )
            patience -= wait
            self._sleep(wait)

    def exhaust(self, name: str, limit: RateLimit) -> None:
        """Set the counter to its maximum: the venue refused, so other programs spend from the same budget."""
        with self._file.locked():
            self._write({**self._read(), name: Counter(limit.maximum, self._clock())})

    def _try(self, name: str, limit: RateLimit, cost: float, purpose: Purpose) -> float:
        """Charge the cost if it fits and return 0, else return the seconds to wait."""
        room = RateLimit(limit.ceiling(purpose, cost), limit.decay)
        with self._file.locked():
            now = self._clock()
            counters = self._read()
            counter = counters.get(name, Counter())
            wait = counter.wait(cost, now, room)
            # Written while waiting too: where the clock was set back, the counter goes down from there on.
            self._write({**counters, name: counter.charge(0.0 if wait else cost, now, limit)})
        return wait

    def _read(self) -> dict[str, Counter]:
        text = self._file.read()
        if text is None:
            return {}
        try:
            counters = {
                str(name): Counter(float(level), float(at)) for name, (level, at) in json.loads(text).items()
            }
        except (ValueError, TypeError, AttributeError):
            counters = {"": Counter(math.nan)}
        if all(math.isfinite(each.level) and math.isfinite(each.at) for each in counters.values()):
            return counters
        raise UnreadableFile(f"{self._file.path} holds no rate counters: remove it, they begin at 0 again")

    def _write(self, counters: dict[str, Counter]) -> None:
        self._file.replace(json.dumps({name: [each.level, each.at] for name, each in counters.items()}))
