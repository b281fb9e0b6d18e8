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

    def get(self, pair: Pair, *, anew: bool = False) -> Instrument:
        """Return the pair's rules and status, of the last ten seconds or from before the venue stopped answering.

        `anew`: read since this call began, where the venue answers. Raises what reading raises, for a pair that was
        never read.
        """
        oldest = self._monotonic() - (0 if anew else MAX_AGE)
        self._wanted.add(pair)
        with self._lock:
            if pair not in self._known or self._known[pair][0] < oldest:
                self._refresh(pair)
            return self._known[pair][1]

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
