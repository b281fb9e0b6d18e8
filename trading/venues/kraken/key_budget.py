"""The budget of one key: calls wait here for their turn and get a nonce; exits and protection have an own share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trading.api_keys import Charge, KeyState
from trading.errors import RateLimited
from trading.orders import Purpose
from trading.venues.kraken.rate_limits import Allowance, RateLimit

PRIVATE_CALLS = "private calls"  # the counter of all calls that are not about one pair's orders


class KeyBudget:
    """Safe to use from several threads. Whoever waits holds nothing that another one needs.

    Entries and look-ups leave a third of every counter to exits and protective stops.
    """

    def __init__(
        self,
        state: KeyState,
        key: str,
        allowance: Allowance,
        patience: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`key` is its fingerprint, `patience` the longest wait of one call in seconds."""
        self._state = state
        self._key = key
        self._allowance = allowance
        self._patience = patience
        self._sleep = sleep

    def next_nonce(self) -> int:
        return self._state.next_nonce(self._key)

    def spend(self, pair_name: str, cost: float, purpose: Purpose) -> int:
        """Wait until the cost fits, charge it and return a nonce; without `pair_name` it is a private call.

        RateLimited, charging nothing, when the wait would be longer than the patience that is left; StoreUnreachable.
        """
        if not cost:
            return self.next_nonce()
        counter, limit = self._counter(pair_name)
        charge, patience = Charge(counter, cost, limit.ceiling(purpose, cost), limit.decay), self._patience
        while (permit := self._state.spend(self._key, charge)).nonce is None:
            if permit.wait > patience:
                raise RateLimited(
                    f"Kraken's budget for {counter} is spent: {permit.wait:.1f} s until this call (cost {cost:g}, "
                    f"{purpose}) is allowed"
                )
            patience -= permit.wait
            self._sleep(permit.wait)
        return permit.nonce

    @contextmanager
    def spending(self, pair_name: str, cost: float, purpose: Purpose) -> Iterator[int]:
        """Yield the nonce of a call; where the block finds that the venue refuses calls, the budget is exhausted."""
        nonce = self.spend(pair_name, cost, purpose)
        try:
            yield nonce
        except RateLimited:
            counter, limit = self._counter(pair_name)
            self._state.exhaust(self._key, counter, limit.maximum)
            raise

    def levels(self, pair_names: tuple[str, ...]) -> dict[str, tuple[float, RateLimit]]:
        """Return how high each counter stands now, and its limit: private calls first, then orders of each pair."""
        counters = [self._counter(name) for name in ("", *pair_names)]
        return {name: (self._state.level(self._key, name, limit.decay), limit) for name, limit in counters}

    def _counter(self, pair_name: str) -> tuple[str, RateLimit]:
        if pair_name:
            return f"orders of {pair_name}", self._allowance.orders
        return PRIVATE_CALLS, self._allowance.calls
