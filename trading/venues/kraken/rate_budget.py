"""What Kraken lets this key and this address ask for, counted together by all processes of one machine."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from trading.errors import RateLimited, UnreadableFile
from trading.venues.kraken.locked_file import LockedFile
from trading.venues.kraken.rate_limits import Counter, Limit, charged, delay, exhausted

HEADROOM = 1.0  # Kraken counts when a call arrives and takes away in steps: the last point is not spent


class Budget:
    """Counters in one file. `spend` waits up to `patience` seconds for its turn."""

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

    def spend(self, name: str, limit: Limit, cost: float) -> None:
        """RateLimited, spending nothing, when the wait would be longer than the patience that is left."""
        patience = self._patience
        while wait := self._try(name, limit, cost):
            if wait > patience:
                raise RateLimited(
                    f"Kraken's budget for {name} is spent: {wait:.1f} s until this call (cost {cost:g}) is allowed"
                )
            patience -= wait
            self._sleep(wait)

    def exhaust(self, name: str, limit: Limit) -> None:
        """The venue refused: other programs spend from the same budget."""
        with self._file.locked():
            now = self._clock()
            self._write({**self._read(), name: exhausted(limit, now)})

    def _try(self, name: str, limit: Limit, cost: float) -> float:
        """0 when it was spent, else the seconds to wait."""
        room = Limit(max(limit.maximum - HEADROOM, cost), limit.decay)
        with self._file.locked():
            now = self._clock()
            counters = self._read()
            counter = counters.get(name, Counter())
            wait = delay(counter, room, cost, now)
            # Written while waiting too: where the clock was set back, the counter goes down from there on.
            self._write({**counters, name: charged(counter, limit, 0.0 if wait else cost, now)})
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
