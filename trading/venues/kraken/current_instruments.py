"""How pairs are traded now: asked for again after some seconds, for all callers and pairs at once."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from trading.errors import Transient
from trading.market import Instrument, Pair

MAX_AGE = 10.0  # seconds


class CurrentInstruments:
    """Safe to use from several threads. Pairs that are wanted at the same time are read together."""

    def __init__(
        self,
        read: Callable[[Sequence[Pair]], Mapping[Pair, Instrument]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[Pair, tuple[float, Instrument]] = {}
        self._wanted: set[Pair] = set()

    def get(self, pair: Pair) -> Instrument:
        """Return the pair's rules and status, of the last ten seconds or from before the venue stopped answering.

        Raises what reading raises, for a pair that was never read.
        """
        self._wanted.add(pair)
        with self._lock:
            if self._is_old(pair):
                self._refresh(pair)
            return self._known[pair][1]

    def _is_old(self, pair: Pair) -> bool:
        known = self._known.get(pair)
        return known is None or self._monotonic() - known[0] > MAX_AGE

    def _refresh(self, pair: Pair) -> None:
        """Read what other threads wait for too. One of their pairs that is not traded is nobody else's error."""
        read_at, wanted = self._monotonic(), sorted({*self._wanted, pair})
        self._wanted.clear()
        try:
            found = self._read(wanted)
        except Transient:
            if pair not in self._known:
                raise
            return
        except Exception:
            if wanted == [pair]:
                raise
            found = self._read([pair])
        self._known |= {each: (read_at, instrument) for each, instrument in found.items()}
